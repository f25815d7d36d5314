//! The check of a change: down the paths that it touches, to the smallest values that can be
//! checked alone.

use logux::crdt::{
    CheckedChange, DocumentView, ElementId, Path, SchemaViolation, Touched, ValueShape,
};
use serde_json::Value;

use crate::{
    rules::{ROOT, Rule, RuleId, Rules, are_of_type, of_field, of_items},
    violations::first_added,
};

type Checked = Result<(), SchemaViolation>;

/// A change that is checked.
pub(crate) struct Walk<'a> {
    rules: &'a Rules,
    change: &'a CheckedChange<'a>,
}

/// A value on the way, and the numbers of its rules.
struct Place {
    at: Path,
    rules: Vec<RuleId>,
}

/// What is next after a key.
enum Step {
    To(Place),
    /// The value that the walk has reached can only be checked as a whole.
    Whole,
    /// There is nothing to check.
    End,
}

impl<'a> Walk<'a> {
    pub(crate) const fn new(rules: &'a Rules, change: &'a CheckedChange<'a>) -> Self {
        Self { rules, change }
    }

    pub(crate) fn check(&self) -> Checked {
        let root = || Place { at: Path::root(), rules: vec![ROOT] };
        let Some(before) = self.change.before() else { return self.whole(&root()) };
        self.change.touched().try_for_each(|touched| {
            let mut place = root();
            for key in touched.path().keys() {
                place = match self.step(before, &place, &key)? {
                    Step::To(place) => place,
                    Step::Whole => return self.whole(&place),
                    Step::End => return Ok(()),
                };
            }
            match touched {
                Touched::Value(_) => self.value(before, &place),
                Touched::Elements { added, .. } => self.elements(before, &place, added),
            }
        })
    }

    /// Goes from a value to the one at a key, and checks what its rules say about the key.
    fn step(
        &self,
        before: &dyn DocumentView,
        place: &Place,
        key: &str,
    ) -> Result<Step, SchemaViolation> {
        let Place { at, rules } = place;
        let Some(shape) = self.change.after().shape(at) else { return Ok(Step::End) };
        if !before.shape(at).is_some_and(|former| former.is_like(shape)) {
            // What was written below has made an object of it.
            return Ok(Step::Whole);
        }
        let Some(rules) = self.rules.all(rules) else { return Ok(Step::Whole) };
        let Ok(child) = at.join(key) else { return Ok(Step::Whole) };
        let is_name = key.parse::<ElementId>().is_ok();
        let rules = match shape {
            ValueShape::Object => {
                self.keys(before, at, key, &child, &rules)?;
                of_field(&rules, key)
            }
            ValueShape::List(_) if is_name => of_items(&rules),
            ValueShape::Tree if is_name => match self.rules.all(&of_items(&rules)) {
                // The path of a node is that of its value.
                Some(rules) => of_field(&rules, "value"),
                None => return Ok(Step::Whole),
            },
            _ => return Ok(Step::Whole),
        };
        let is_end = rules.is_empty();
        Ok(if is_end { Step::End } else { Step::To(Place { at: child, rules }) })
    }

    /// Checks the keys of an object, of which one may be new or gone.
    fn keys(
        &self,
        before: &dyn DocumentView,
        at: &Path,
        key: &str,
        child: &Path,
        rules: &[&Rule],
    ) -> Checked {
        let after = self.change.after();
        let is_there = after.shape(child).is_some();
        if before.shape(child).is_some() == is_there {
            return Ok(());
        }
        let violation =
            |path: &Path, error: String| Err(SchemaViolation::new(path.as_str(), error));
        if !is_there && rules.iter().any(|rule| rule.required.contains(key)) {
            return violation(at, format!("{key:?} is a required property"));
        }
        if is_there {
            let name = Value::from(key);
            for rule in rules.iter().filter_map(|rule| rule.property_names) {
                let rule = &self.rules.get(rule).validator;
                first_added(rule, child.as_str(), None, &name).map_or(Ok(()), Err)?;
            }
        }
        let limits =
            |limit: fn(&Rule) -> Option<usize>| rules.iter().filter_map(move |rule| limit(rule));
        let max = limits(|rule| rule.max_properties).min().filter(|_| is_there);
        let min = limits(|rule| rule.min_properties).max().filter(|_| !is_there);
        if max.is_none() && min.is_none() {
            return Ok(());
        }
        let count = after.value(at).and_then(|value| value.as_object().map(|fields| fields.len()));
        match count {
            Some(count) if max.is_some_and(|max| count > max) => {
                let max = max.unwrap_or_default();
                violation(at, format!("expected at most {max} properties, got {count}"))
            }
            Some(count) if min.is_some_and(|min| count < min) => {
                let min = min.unwrap_or_default();
                violation(at, format!("expected at least {min} properties, got {count}"))
            }
            _ => Ok(()),
        }
    }

    /// Checks a value that was written or edited.
    fn value(&self, before: &dyn DocumentView, place: &Place) -> Checked {
        let Some(shape) = self.change.after().shape(&place.at) else { return Ok(()) };
        let is_like = before.shape(&place.at).is_some_and(|former| former.is_like(shape));
        // Typing does not make a number of a text.
        if is_like && self.rules.all(&place.rules).is_some_and(|rules| are_of_type(&rules)) {
            return Ok(());
        }
        self.whole(place)
    }

    /// Checks a list or tree, of which only some items or nodes are new or gone.
    fn elements(&self, before: &dyn DocumentView, place: &Place, added: &[ElementId]) -> Checked {
        let (at, after) = (&place.at, self.change.after());
        let Some(shape) = after.shape(at) else { return Ok(()) };
        let former = before.shape(at);
        let is_like = former.is_some_and(|former| former.is_like(shape));
        let Some(rules) = self.rules.all(&place.rules).filter(|_| is_like) else {
            return self.whole(place);
        };
        if !matches!(shape, ValueShape::List(_) | ValueShape::Tree) {
            return self.whole(place);
        }
        let max = rules.iter().filter_map(|rule| rule.max_items).min();
        let min = rules.iter().filter_map(|rule| rule.min_items).max();
        if max.is_some() || min.is_some() {
            let counts = (count(before, at, former), count(after, at, Some(shape)));
            let (former, count) = counts;
            let error = match (max, min) {
                (Some(max), _) if count > max && count > former => {
                    Some(format!("expected at most {max} items, got {count}"))
                }
                (_, Some(min)) if count < min && count < former => {
                    Some(format!("expected at least {min} items, got {count}"))
                }
                _ => None,
            };
            if let Some(error) = error {
                return Err(SchemaViolation::new(at.as_str(), error));
            }
        }
        let items = of_items(&rules);
        if items.is_empty() {
            return Ok(());
        }
        for element in added {
            let Some(value) = after.element(at, element) else { continue };
            let path = at.join(&element.to_string()).unwrap_or_else(|_| at.clone());
            for rule in &items {
                let rule = &self.rules.get(*rule).validator;
                first_added(rule, path.as_str(), None, &value).map_or(Ok(()), Err)?;
            }
        }
        Ok(())
    }

    /// Checks a whole value. What the value at the same path violated before is accepted.
    fn whole(&self, place: &Place) -> Checked {
        let Place { at, rules } = place;
        let Some(after) = self.change.after().value(at) else { return Ok(()) };
        let is_valid = |rule: &RuleId| self.rules.get(*rule).validator.is_valid(&after);
        if rules.iter().all(is_valid) {
            return Ok(());
        }
        let before = self.change.before().and_then(|before| before.value(at));
        for rule in rules {
            let rule = &self.rules.get(*rule).validator;
            first_added(rule, at.as_str(), before.as_ref(), &after).map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}

/// Returns the number of items of a list or of nodes of a tree.
fn count(view: &dyn DocumentView, at: &Path, shape: Option<ValueShape>) -> usize {
    match shape {
        Some(ValueShape::List(len)) => len,
        _ => view.value(at).and_then(|value| value.as_array().map(Vec::len)).unwrap_or(0),
    }
}
