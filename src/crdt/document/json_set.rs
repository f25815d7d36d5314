//! Letting a document show a JSON value by the smallest differences.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Document, DocumentOp,
    json_ops::{Translated, Translator, limit, mismatch},
    read::Reading,
};
use crate::{
    crdt::{
        path::Path,
        shared::MAX_OPERATIONS,
        tree::TreeNode,
        view::{PartView, View, is_field},
    },
    json::Json,
};

/// Reads what is shown at the path, with its parts apart.
struct ViewOnly;

impl Reading for ViewOnly {
    type Found = View;

    fn built(&self, document: &Document, at: &Path, plain: Option<&str>) -> Option<View> {
        let view = document.view(at, &Json::checked(plain.unwrap_or("null")));
        let is_null = matches!(&view, View::Plain(json) if json.as_str() == "null");
        (plain.is_some() || !is_null).then_some(view)
    }

    fn node(&self, document: &Document, tree: &Path, node: TreeNode<'_>) -> Option<View> {
        Some(self.value(document.build_node(tree, node)))
    }

    fn value(&self, value: Value) -> View {
        View::read(Json::from(value).as_str())
    }
}

impl Translator {
    /// Lets the document show a value at a path.
    pub(super) fn set(&mut self, path: &Path, value: &Json) -> Translated {
        let target = value.to_value();
        let is_shown = |document: &Document| document.get(path).as_ref() == Some(&target);
        if self.value(path)?.as_ref() == Some(&target) {
            return Ok(());
        }
        let own = self.state().read(&ViewOnly, path);
        self.assign(path, own.as_ref(), &target, Some(value))?;
        // Such as an object whose last field was deleted.
        if !is_shown(self.state()) {
            self.push(DocumentOp::Set { path: path.clone(), value: value.clone() });
        }
        // A counter or set above may be hidden only by a part that was replaced.
        let above = "no number or set above the value";
        if is_shown(self.state()) { Ok(()) } else { Err(mismatch(path, above)) }
    }

    fn assign(
        &mut self,
        path: &Path,
        own: Option<&View>,
        target: &Value,
        written: Option<&Json>,
    ) -> Translated {
        match (own, target) {
            (Some(View::Part(PartView::Text(_))), Value::String(text)) => {
                self.edit_text(path, |own, author| own.ops_to(text, author))
            }
            (Some(View::Part(PartView::List(_))), Value::Array(items)) => {
                self.assign_items(path, items)
            }
            (Some(View::Part(PartView::Set(_))), Value::Array(elements))
                if elements.iter().all(Value::is_string) && elements.len() <= MAX_OPERATIONS =>
            {
                self.assign_set(path, elements);
                Ok(())
            }
            (Some(View::Part(PartView::Tree(_))), _) => Err(mismatch(path, "no tree")),
            (Some(View::Object(own)), Value::Object(fields)) => {
                let keys = || own.iter().map(|(key, _)| key).chain(fields.keys().map(|key| &**key));
                let has_paths = keys().all(|key| is_field(key) && path.join(key).is_ok());
                if !has_paths || fields.is_empty() || keys().count() > MAX_OPERATIONS {
                    self.replace(path, target, written);
                    return Ok(());
                }
                for (key, _) in own.iter().filter(|(key, _)| !fields.contains_key(*key)) {
                    self.push(DocumentOp::Delete { path: path.join(key).map_err(limit)? });
                }
                for (key, field) in fields {
                    let own = own.get(key);
                    if own.is_none_or(|own| self.state().view_json(own) != *field) {
                        self.assign(&path.join(key).map_err(limit)?, own, field, None)?;
                    }
                }
                Ok(())
            }
            _ => {
                self.replace(path, target, written);
                Ok(())
            }
        }
    }

    fn replace(&mut self, path: &Path, target: &Value, written: Option<&Json>) {
        let value = written.cloned().unwrap_or_else(|| target.clone().into());
        self.push(DocumentOp::Set { path: path.clone(), value });
    }

    /// Keeps the equal items at the start and the end. If as many items are between them as before,
    /// these are changed one by one; otherwise they are replaced.
    fn assign_items(&mut self, path: &Path, target: &[Value]) -> Translated {
        let state = self.state();
        let list = super::restore::part_or_new(&state.lists, path);
        let own: Vec<_> = list
            .iter()
            .map(|(id, item)| {
                let json = state.build_item(path, &id, item);
                let view = state.item_view(path, &id, item);
                (id, json, view)
            })
            .collect();
        let start = own.iter().zip(target).take_while(|((_, own, _), item)| own == *item).count();
        let rest = (own[start..].iter().rev(), target[start..].iter().rev());
        let end = rest.0.zip(rest.1).take_while(|((_, own, _), item)| own == *item).count();
        let old = &own[start..own.len() - end];
        let new = &target[start..target.len() - end];
        if old.len() == new.len() {
            for ((id, _, view), item) in old.iter().zip(new) {
                let path = path.join(&id.to_string()).map_err(limit)?;
                self.assign(&path, Some(view), item, None)?;
            }
            return Ok(());
        }
        if old.len() > MAX_OPERATIONS {
            self.replace(path, &target.into(), None);
            return Ok(());
        }
        for _ in old {
            self.edit_list(path, |list, author| list.remove_op(start, author))?;
        }
        if new.is_empty() {
            return Ok(());
        }
        let values = new.iter().cloned().map(Json::from).collect();
        self.edit_list(path, |list, author| list.insert_all_op(start, values, author))
    }

    fn assign_set(&mut self, path: &Path, target: &[Value]) {
        let elements: BTreeSet<&str> = target.iter().filter_map(Value::as_str).collect();
        let is_in = |element: &str| elements.contains(element);
        let own = super::restore::part_or_new(&self.state().sets, path).into_owned();
        for element in own.iter().filter(|element| !is_in(element)) {
            self.discard(path, element);
        }
        for element in elements {
            if !own.contains(element) {
                self.push(DocumentOp::Add { path: path.clone(), element: element.into() });
            }
        }
    }
}
