//! `docs/verdict.schema.json` is what the types of [`crate::verdict`] make of themselves, and real verdicts are as it says.

use std::fs;
use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::history::History;
use crate::verdict::Judgement;

/// Has the schema written anew.
const WRITE: &str = "LEASEHOLD_WRITE_SCHEMA";

fn below_root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Judgement>();
    schema.insert("title".to_owned(), "verdict.json".into());
    schema.to_value()
}

#[test]
fn the_schema_in_the_docs_is_that_of_the_types() {
    let path = below_root("docs/verdict.schema.json");
    let made = schema();
    if std::env::var_os(WRITE).is_some() {
        let text = serde_json::to_string_pretty(&made).expect("a schema is JSON") + "\n";
        fs::write(&path, text).expect("the schema can be written");
    }
    let stored = fs::read_to_string(&path).expect("docs/verdict.schema.json is there");
    let stored: Value = serde_json::from_str(&stored).expect("it is JSON");
    assert_eq!(stored, made, "docs/verdict.schema.json is not that of the types; {WRITE}=1 writes it anew");
}

#[test]
fn real_verdicts_are_as_the_schema_says() {
    let schema = schema();
    let mut judged = 0;
    for entry in fs::read_dir(below_root("fixtures/histories")).expect("the fixtures") {
        let path = entry.expect("a file").path();
        let Ok(history) = History::read(&path) else { continue };
        let verdict: Value = serde_json::from_str(&crate::check(&history).to_json()).expect("it is JSON");
        fits(&schema, &schema, &verdict).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        judged += 1;
    }
    assert!(judged > 20, "only {judged} histories were judged");
}

#[test]
fn what_is_no_verdict_does_not_fit() {
    let schema = schema();
    let history = History::read(below_root("fixtures/histories/etcd-v3-register-stale-read.jsonl")).expect("a history");
    let verdict: Value = serde_json::from_str(&crate::check(&history).to_json()).expect("it is JSON");
    let spoilt: [fn(&mut Value); 5] = [
        |verdict| verdict["verdict"] = "fine".into(),
        |verdict| verdict["anomalies"][0]["grade"] = Value::Null,
        |verdict| verdict["anomalies"][0]["stuck"]["op"] = (-1).into(),
        |verdict| verdict["more"] = 1.into(),
        |verdict| _ = verdict.as_object_mut().and_then(|verdict| verdict.remove("ops")),
    ];
    for spoil in spoilt {
        let mut verdict = verdict.clone();
        spoil(&mut verdict);
        assert!(fits(&schema, &schema, &verdict).is_err(), "{verdict}");
    }
}

/// Whether a value is as a schema says, of which as much is understood as the one here uses; and has nothing of which that does not
/// speak.
fn fits(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(words) = schema.as_object() else { return Ok(()) };
    for (word, said) in words {
        match (word.as_str(), said) {
            ("$ref", Value::String(place)) => {
                let pointer = place.strip_prefix('#').expect("within the schema");
                fits(root, root.pointer(pointer).expect("what is named is there"), value)?;
            }
            ("anyOf" | "oneOf", Value::Array(cases)) if !cases.iter().any(|case| fits(root, case, value).is_ok()) => {
                return Err(format!("{value} is none of {said}"));
            }
            ("type", Value::String(kind)) if !is_a(kind, value) => return Err(format!("{value} is no {kind}")),
            ("type", Value::Array(kinds)) if !kinds.iter().filter_map(Value::as_str).any(|kind| is_a(kind, value)) => {
                return Err(format!("{value} is none of {said}"));
            }
            ("const", said) if said != value => return Err(format!("{value} is not {said}")),
            ("enum", Value::Array(values)) if !values.contains(value) => {
                return Err(format!("{value} is not in {said}"));
            }
            ("minimum", said) if value.as_f64() < said.as_f64() => return Err(format!("{value} is below {said}")),
            ("required", Value::Array(names)) => {
                if let Some(missing) = names.iter().filter_map(Value::as_str).find(|name| value.get(name).is_none()) {
                    return Err(format!("{missing} is missing"));
                }
            }
            ("items", items) => {
                value.as_array().into_iter().flatten().try_for_each(|item| fits(root, items, item))?;
            }
            ("properties", Value::Object(known)) => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    fits(root, known.get(name).ok_or(format!("{name} is unheard of"))?, field)?;
                }
            }
            ("additionalProperties", said) => {
                value.as_object().into_iter().flatten().try_for_each(|(_, field)| fits(root, said, field))?;
            }
            ("$schema" | "$defs" | "title" | "description" | "format" | "default" | "uniqueItems", _)
            | ("anyOf" | "oneOf" | "type" | "const" | "enum" | "minimum", _) => {}
            _ => panic!("{word} is not understood here"),
        }
    }
    Ok(())
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => panic!("{kind} is not understood here"),
    }
}
