//! From a line of a script to the line of the file that the script stands in.

use interpreter::Operation;
use serde_json::Value;

/// An error with the file, and with the line where it can be found.
pub(super) fn placed(file: &str, customization: &Value, operation: Operation, error: &str) -> String {
    let field = crds::validate::SCRIPTS
        .iter()
        .find(|(_, name)| *name == operation.as_str());
    let script = field.and_then(|(field, _)| crds::validate::script(customization, field));
    let line = script.zip(line_of(error)).and_then(|(script, line)| {
        let text = std::fs::read_to_string(file).ok()?;
        Some(begin(&text, script)? + line)
    });
    match line {
        Some(line) => format!("{file}:{line}: {error}"),
        None => format!("{file}: {error}"),
    }
}

/// The line that an error names, from 1.
fn line_of(error: &str) -> Option<usize> {
    let after = &error[error.find("script:")? + "script:".len()..];
    after.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

/// How many lines of a file come before a script that stands in it as it is; none where the file says it in other words (a
/// folded text, say).
fn begin(text: &str, script: &str) -> Option<usize> {
    let file: Vec<&str> = text.lines().map(str::trim).collect();
    let script: Vec<&str> = script.trim_end().lines().map(str::trim).collect();
    file.windows(script.len().max(1)).position(|lines| lines == script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_scripts_are_lines_of_files() {
        let file = "a: 1\nb:\n  luaScript: |\n    function f()\n      return 1\n    end\n";
        assert_eq!(begin(file, "function f()\n  return 1\nend\n"), Some(3));
        assert_eq!(begin(file, "function g()\nend\n"), None);
        assert_eq!(begin(file, ""), None);
        assert_eq!(line_of("InterpretHealth: script:12: no"), Some(12));
        assert_eq!(line_of("InterpretHealth: no"), None);
        assert_eq!(line_of("script:"), None);
    }
}
