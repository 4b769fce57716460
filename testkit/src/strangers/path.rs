//! Concrete paths of a template: each parameter has a value.

use std::collections::BTreeMap;

/// The value of a catch-all, which matches no other route.
const NOWHERE: &str = "no-such-path";

/// The template with each value in turn; only once if it has no parameter.
pub(crate) fn filled(
    template: &str,
    fillings: &[String],
    parameters: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut paths: Vec<_> = fillings.iter().map(|filling| fill(template, filling, parameters)).collect();
    paths.dedup();
    if paths.is_empty() {
        paths.push(fill(template, "1", parameters));
    }
    paths
}

fn fill(template: &str, filling: &str, parameters: &BTreeMap<String, String>) -> String {
    let (mut path, mut rest) = (String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        path.push_str(before);
        // `{{` and `}}` are literal braces in the path.
        if let Some(escaped) = ["{{", "}}"].into_iter().find(|escaped| after.starts_with(escaped)) {
            path.push_str(escaped.get(1..).unwrap_or_default());
            rest = after.get(2..).unwrap_or_default();
            continue;
        }
        let (parameter, behind) = parameter(after);
        // The syntax of actix: `{id:\d+}`.
        let (name, pattern) = parameter.split_once(':').unwrap_or((parameter, ""));
        match parameters.get(name.trim_start_matches('*')) {
            Some(value) => path.push_str(value),
            None if name.starts_with('*') || pattern == ".*" => {
                path.push_str(&format!("{NOWHERE}/{filling}"));
            }
            None => path.push_str(filling),
        }
        rest = behind;
    }
    path + rest
}

/// The content of the braces at the start of a text, and the text after them.
fn parameter(text: &str) -> (&str, &str) {
    let mut open = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return (text.get(1..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        }
    }
    (text.get(1..).unwrap_or_default(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(template: &str, fillings: &[&str]) -> Vec<String> {
        let fillings: Vec<_> = fillings.iter().map(|filling| (*filling).to_owned()).collect();
        let parameters = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        filled(template, &fillings, &parameters)
    }

    #[test]
    fn parameters_are_filled_by_name_or_with_each_filling() {
        assert_eq!(with("/a/{id}/b/{id2}", &["1", "x"]), ["/a/1/b/1", "/a/x/b/x"]);
        assert_eq!(with("/{region}/a", &["1", "x"]), ["/eu/a"]);
        assert_eq!(with("/{region}/{id}.json", &["1"]), ["/eu/1.json"]);
        assert_eq!(with("/a", &["1", "x"]), ["/a"]);
        assert_eq!(with("/a/{id}", &[]), ["/a/1"]);
        assert_eq!(with("/a/{*rest}", &["1"]), ["/a/no-such-path/1"]);
        assert_eq!(with("/{*region}", &["1"]), ["/eu"]);
    }

    #[test]
    fn patterns_of_actix_and_braces_of_the_path_are_read() {
        assert_eq!(with(r"/a/{id:\d{1,3}}/b", &["7"]), ["/a/7/b"]);
        assert_eq!(with("/files/{tail:.*}", &["7"]), ["/files/no-such-path/7"]);
        assert_eq!(with("/a/{{b}}/{id}", &["7"]), ["/a/{b}/7"]);
    }

    #[test]
    fn unmatched_braces_are_literal_text() {
        assert_eq!(with("/a/{id", &["7"]), ["/a/7"]);
        assert_eq!(with("/a}/b", &["7"]), ["/a7/b"]);
    }
}
