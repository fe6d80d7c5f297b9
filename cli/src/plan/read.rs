//! Objects from files as kubectl reads them: several documents in one, lists, directories, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Files of a directory that count.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// All objects of a file, of a directory, or of standard input (`-`).
pub(crate) fn objects(name: &str, recursive: bool) -> Result<Vec<Value>> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return documents("standard input", &text);
    }
    let mut found = Vec::new();
    for file in files(Path::new(name), recursive)? {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
        found.extend(documents(&shown, &text)?);
    }
    if found.is_empty() {
        bail!("{name}: there are no objects");
    }
    Ok(found)
}

/// The files behind a name, in order; standard input is itself.
pub(crate) fn files_of(name: &str, recursive: bool) -> Result<Vec<String>> {
    if name == "-" {
        return Ok(vec![name.to_owned()]);
    }
    let found = files(Path::new(name), recursive)?;
    Ok(found.into_iter().map(|file| file.display().to_string()).collect())
}

/// The files behind a name, in order.
fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let shown = path.display();
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {shown}"))?;
    let mut entries: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {shown}"))?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                found.extend(files(&entry, true)?);
            }
        } else if entry
            .extension()
            .is_some_and(|own| ENDINGS.iter().any(|ending| own == *ending))
        {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The objects of a text: documents between lines of `---`, and what lists hold.
fn documents(from: &str, text: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for (index, document) in split(text).iter().enumerate() {
        let decoded = schema::decode::decode_yaml(document.as_bytes());
        let value = decoded
            .map_err(|problem| anyhow::anyhow!("{from}, document {}: {problem}", index + 1))?
            .value;
        match value {
            Value::Null => {}
            Value::Object(mut object) if object.contains_key("items") && is_list(&object["kind"]) => {
                let items = object["items"].take();
                found.extend(items.as_array().cloned().unwrap_or_default());
            }
            Value::Object(object) => found.push(object.into()),
            _ => bail!("{from}, document {}: expected an object", index + 1),
        }
    }
    Ok(found)
}

fn is_list(kind: &Value) -> bool {
    kind.as_str().is_some_and(|kind| kind.ends_with("List"))
}

/// The documents of a text.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        let marks = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        if marks {
            documents.push(String::new());
            continue;
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: &[&str]) {
        let found = documents("test", text).unwrap();
        let found: Vec<&str> = found
            .iter()
            .filter_map(|object| object["metadata"]["name"].as_str())
            .collect();
        assert_eq!(found, names, "{text}");
    }

    #[test]
    fn documents_lists_and_nothing() {
        check("", &[]);
        check("# only a comment\n---\n", &[]);
        check("metadata: {name: a}\n", &["a"]);
        check(
            "---\nmetadata: {name: a}\n--- # next\nmetadata:\n  name: b\n",
            &["a", "b"],
        );
        check(
            "kind: List\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n---\n{\"metadata\": {\"name\": \"c\"}}",
            &["a", "b", "c"],
        );
        // Text that looks like a mark inside a block.
        check("metadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n", &["a"]);
        for wrong in ["- a\n", "a: [", "text"] {
            assert!(documents("test", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn directories_are_read_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, object: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("metadata: {{name: {object}}}\n")).unwrap();
        };
        write("b.yaml", "b");
        write("a.yml", "a");
        write("readme.md", "no");
        write("more/c.json", "c");
        let names = |recursive| -> Vec<String> {
            let found = objects(directory.path().to_str().unwrap(), recursive).unwrap();
            found
                .iter()
                .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(false), ["a", "b"]);
        assert_eq!(names(true), ["a", "b", "c"]);
        assert!(objects("/nowhere/at/all", false).is_err());
    }
}
