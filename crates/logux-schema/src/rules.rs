//! A schema as a graph of rules: from the rules of a value to those of its fields and items.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{
    error::SchemaError,
    schema::{invalid, options},
};

/// The keywords that decide about an object or array as a whole, so that a part of it cannot be
/// checked alone.
const WHOLE: [&str; 21] = [
    "$dynamicRef",
    "$recursiveRef",
    "additionalItems",
    "anyOf",
    "const",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "enum",
    "extends",
    "if",
    "maxContains",
    "minContains",
    "not",
    "oneOf",
    "prefixItems",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// The keywords that say nothing about a value.
const ANNOTATIONS: [&str; 18] = [
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "allOf",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// The number of a rule.
pub(crate) type RuleId = usize;

/// The rule of the whole document.
pub(crate) const ROOT: RuleId = 0;

/// What a part of a schema says about a value.
pub(crate) struct Rule {
    pub(crate) validator: Validator,
    /// Whether a part of a value can be checked alone.
    is_local: bool,
    /// Whether it decides by the type of the value alone.
    is_of_type: bool,
    /// Further rules of the same value: those of `$ref` and `allOf`.
    same: Vec<RuleId>,
    properties: BTreeMap<String, RuleId>,
    /// Which names have which rules.
    patterns: Vec<(Validator, RuleId)>,
    additional: Option<RuleId>,
    pub(crate) items: Option<RuleId>,
    pub(crate) property_names: Option<RuleId>,
    pub(crate) required: BTreeSet<String>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
}

/// All rules of a schema.
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    pub(crate) fn new(schema: &Value) -> Result<Self, SchemaError> {
        let root = options().build(schema).map_err(|error| invalid(&error))?;
        let validators = options().build_map(schema).map_err(|error| invalid(&error))?;
        let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let mut builder = RulesBuilder {
            schema,
            has_scopes: has_scopes(schema, true),
            has_only_refs: ["draft-04", "draft-06", "draft-07"]
                .iter()
                .any(|old| draft.contains(old)),
            validators: &validators,
            ids: HashMap::new(),
            rules: Vec::new(),
        };
        builder.add("#", root);
        let mut next = 0;
        while let Some(pointer) = builder.rules.get(next).map(|(_, pointer)| pointer.clone()) {
            let part = builder.part(&pointer).unwrap_or(&Value::Null);
            builder.fill(next, part, &pointer);
            next += 1;
        }
        Ok(Self(builder.rules.into_iter().map(|(rule, _)| rule).collect()))
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, id: RuleId) -> &Rule {
        &self.0[id]
    }

    /// Returns all rules of a value. `None` if it can only be checked as a whole.
    pub(crate) fn all(&self, ids: &[RuleId]) -> Option<Vec<&Rule>> {
        let (mut seen, mut next) = (BTreeSet::new(), ids.to_vec());
        let mut rules = Vec::new();
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                let rule = self.get(id);
                next.extend(&rule.same);
                rules.push(rule);
            }
        }
        rules.iter().all(|rule| rule.is_local).then_some(rules)
    }
}

/// Returns `true` if the rules of a value only look at its type.
pub(crate) fn are_of_type(rules: &[&Rule]) -> bool {
    rules.iter().all(|rule| rule.is_of_type)
}

/// Returns the rules of a field of an object.
pub(crate) fn of_field(rules: &[&Rule], key: &str) -> Vec<RuleId> {
    let name = Value::from(key);
    let mut found = Vec::new();
    for rule in rules {
        let before = found.len();
        found.extend(rule.properties.get(key));
        let matching = rule.patterns.iter().filter(|(pattern, _)| pattern.is_valid(&name));
        found.extend(matching.map(|(_, id)| id));
        if found.len() == before {
            found.extend(rule.additional);
        }
    }
    found
}

/// Returns the rules of the items of an array.
pub(crate) fn of_items(rules: &[&Rule]) -> Vec<RuleId> {
    rules.iter().filter_map(|rule| rule.items).collect()
}

/// Returns `true` if a part of the schema has an address of its own, to which references are
/// relative.
fn has_scopes(schema: &Value, is_root: bool) -> bool {
    match schema {
        Value::Object(object) => {
            let is_scope =
                ["$id", "id"].iter().any(|key| object.get(*key).is_some_and(Value::is_string));
            (is_scope && !is_root) || object.values().any(|value| has_scopes(value, false))
        }
        Value::Array(items) => items.iter().any(|item| has_scopes(item, false)),
        _ => false,
    }
}

struct RulesBuilder<'a> {
    schema: &'a Value,
    has_scopes: bool,
    /// Whether keywords beside `$ref` say nothing, as in the drafts up to 7.
    has_only_refs: bool,
    validators: &'a jsonschema::ValidatorMap,
    ids: HashMap<String, RuleId>,
    /// The rules with their pointers, which begin with `#`.
    rules: Vec<(Rule, String)>,
}

impl<'a> RulesBuilder<'a> {
    /// Returns a part of the schema.
    fn part(&self, pointer: &str) -> Option<&'a Value> {
        self.schema.pointer(pointer.strip_prefix('#')?)
    }

    /// Adds a rule that says nothing yet of the parts of a value.
    fn add(&mut self, pointer: &str, validator: Validator) -> RuleId {
        let id = self.rules.len();
        let rule = Rule {
            validator,
            is_local: !self.has_scopes,
            is_of_type: true,
            same: Vec::new(),
            properties: BTreeMap::new(),
            patterns: Vec::new(),
            additional: None,
            items: None,
            property_names: None,
            required: BTreeSet::new(),
            min_properties: None,
            max_properties: None,
            min_items: None,
            max_items: None,
        };
        self.rules.push((rule, pointer.to_owned()));
        self.ids.insert(pointer.to_owned(), id);
        id
    }

    /// Returns the rule of a part of the schema. `None` if there is none that was compiled.
    fn rule(&mut self, pointer: &str) -> Option<RuleId> {
        if let Some(id) = self.ids.get(pointer) {
            return Some(*id);
        }
        let validator = self.validators.get(pointer)?.clone();
        Some(self.add(pointer, validator))
    }

    fn fill(&mut self, id: RuleId, part: &Value, pointer: &str) {
        let Value::Object(part) = part else {
            self.rules[id].0.is_of_type = *part == Value::Bool(true);
            return;
        };
        let reference = part.get("$ref");
        let only_reference = self.has_only_refs && reference.is_some();
        if !only_reference {
            let says = |keyword: &String| !ANNOTATIONS.contains(&keyword.as_str());
            let is_of_type = part.keys().filter(|keyword| says(keyword)).all(|key| key == "type");
            self.rules[id].0.is_of_type = is_of_type;
        }
        let is_filled = self.fill_reference(id, reference)
            && (only_reference || self.fill_keywords(id, part, pointer));
        self.rules[id].0.is_local &= is_filled;
    }

    /// Returns `false` if the reference cannot be followed.
    fn fill_reference(&mut self, id: RuleId, reference: Option<&Value>) -> bool {
        let Some(reference) = reference else { return true };
        let target = reference
            .as_str()
            .filter(|target| (*target == "#" || target.starts_with("#/")) && !target.contains('%'));
        let target = target.and_then(|target| self.rule(target));
        self.rules[id].0.same.extend(target);
        target.is_some()
    }

    /// Returns `false` if a keyword decides about the value as a whole.
    fn fill_keywords(&mut self, id: RuleId, part: &Map<String, Value>, pointer: &str) -> bool {
        let is_whole = |keyword: &String| WHOLE.contains(&keyword.as_str());
        let is_array = |keyword: &str| part.get(keyword).is_some_and(Value::is_array);
        let has_unique = part.get("uniqueItems") == Some(&Value::Bool(true));
        if part.keys().any(is_whole) || is_array("items") || has_unique {
            return false;
        }
        let mut is_complete = true;
        let mut below = |builder: &mut Self, keys: &[&str]| {
            let keys = keys.iter().map(|key| key.replace('~', "~0").replace('/', "~1"));
            let pointer = keys.fold(pointer.to_owned(), |pointer, key| pointer + "/" + &key);
            let rule = builder.rule(&pointer);
            is_complete &= rule.is_some();
            rule
        };
        let object =
            |keyword: &str| part.get(keyword).and_then(Value::as_object).into_iter().flatten();
        let properties: BTreeMap<_, _> = object("properties")
            .filter_map(|(key, _)| Some((key.clone(), below(self, &["properties", key])?)))
            .collect();
        let mut patterns = Vec::new();
        for (pattern, _) in object("patternProperties") {
            let name = options().build(&json!({"pattern": pattern}));
            let rule = below(self, &["patternProperties", pattern]);
            patterns.extend(name.ok().zip(rule));
        }
        let mut single = |builder: &mut Self, keyword: &str| {
            part.contains_key(keyword).then(|| below(builder, &[keyword])).flatten()
        };
        let additional = single(self, "additionalProperties");
        let items = single(self, "items");
        let property_names = single(self, "propertyNames");
        let all = part.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
        let same: Vec<_> =
            (0..all).filter_map(|index| below(self, &["allOf", &index.to_string()])).collect();
        let number =
            |keyword: &str| part.get(keyword).and_then(Value::as_f64).map(|number| number as usize);
        let is_complete = is_complete && patterns.len() == object("patternProperties").count();
        let rule = &mut self.rules[id].0;
        rule.same.extend(same);
        rule.properties = properties;
        rule.patterns = patterns;
        (rule.additional, rule.items, rule.property_names) = (additional, items, property_names);
        let required = part.get("required").and_then(Value::as_array).into_iter().flatten();
        rule.required = required.filter_map(Value::as_str).map(str::to_owned).collect();
        rule.min_properties = number("minProperties");
        rule.max_properties = number("maxProperties");
        rule.min_items = number("minItems");
        rule.max_items = number("maxItems");
        is_complete
    }
}
