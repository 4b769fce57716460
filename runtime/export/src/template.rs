//! The template of a path: `/tenants/{id}`, `/files/{*rest}`. It is parsed once, as axum's router reads it.
//! Comparison and output then need no further look at braces.

use std::cmp::Ordering;

/// A parsed template, ordered by precedence: if two templates match one path, the router takes the lesser.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// One segment of the path, or the rest of a segment. The router also accepts an empty one, except at the
    /// end of the path.
    Parameter(String),
    /// The rest of the path; never empty.
    Rest(String),
}

/// One step of the comparison. Parameter names are ignored.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Char(char),
    Parameter,
    Rest,
}

impl Template {
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        if !path.starts_with('/') {
            return Err("a path must start with `/`".to_owned());
        }
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = path;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            text.push_str(before);
            // A doubled brace is a literal brace.
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                text.extend(from.chars().next());
                rest = after;
                continue;
            }
            let Some((name, after)) = from.strip_prefix('{').and_then(|from| from.split_once('}')) else {
                return Err("a brace is not closed or not opened".to_owned());
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(parameter(name, after)?);
            rest = after;
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self { pieces })
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The path, if it has no parameter.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// A RE2 regular expression that must match the whole path.
    pub(crate) fn regex(&self) -> String {
        let last = self.pieces.last();
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => quote_meta(text),
            Piece::Parameter(_) if Some(piece) == last => "[^/]+".to_owned(),
            Piece::Parameter(_) => "[^/]*".to_owned(),
            Piece::Rest(_) => ".+".to_owned(),
        };
        self.pieces.iter().map(piece).collect()
    }

    /// Whether one path can match both templates. Returns `true` in doubt.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (own, others) = (self.segments(), other.segments());
        let mut others = others.iter();
        for own in &own {
            let Some(other) = others.next() else { return false };
            if own.contains(&Step::Rest) || other.contains(&Step::Rest) {
                return true;
            }
            let text = |segment: &[Step]| !segment.contains(&Step::Parameter);
            if text(own) && text(other) && own != other {
                return false;
            }
        }
        others.next().is_none()
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => steps.extend(text.chars().map(Step::Char)),
                Piece::Parameter(_) => steps.push(Step::Parameter),
                Piece::Rest(_) => steps.push(Step::Rest),
            }
        }
        steps
    }

    fn segments(&self) -> Vec<Vec<Step>> {
        self.steps().split(|step| *step == Step::Char('/')).map(<[Step]>::to_vec).collect()
    }
}

fn parameter(name: &str, after: &str) -> Result<Piece, String> {
    let (rest, name) = name.strip_prefix('*').map_or((false, name), |name| (true, name));
    if name.is_empty() || name.contains(['/', '{', '*']) {
        return Err("the name of a parameter is not valid".to_owned());
    }
    if rest && !after.is_empty() {
        return Err("a parameter that matches the rest of the path must be at its end".to_owned());
    }
    if after.split('/').next().is_some_and(|segment| segment.contains('{')) {
        return Err("a segment of a path must not have more than one parameter".to_owned());
    }
    let name = name.to_owned();
    Ok(if rest { Piece::Rest(name) } else { Piece::Parameter(name) })
}

/// Escapes as Go's `regexp.QuoteMeta`, whose syntax is that of RE2.
pub(crate) fn quote_meta(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

impl Ord for Template {
    /// At the first difference, text sorts before a parameter, and a parameter before the rest of the path.
    fn cmp(&self, other: &Self) -> Ordering {
        self.steps().cmp(&other.steps())
    }
}

impl PartialOrd for Template {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Template {}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(path: &str) -> Template {
        Template::parse(path).unwrap()
    }

    #[test]
    fn templates_become_equivalent_expressions() {
        for (path, regex) in [
            ("/a.b/{id}", r"/a\.b/[^/]+"),
            ("/files/{*rest}", r"/files/.+"),
            ("/v{n}/x", r"/v[^/]*/x"),
            ("/{{id}}", r"/\{id\}"),
            ("/a|b(c)[d]^$+?*\\", r"/a\|b\(c\)\[d\]\^\$\+\?\*\\"),
        ] {
            assert_eq!(template(path).regex(), regex, "{path}");
        }
    }

    #[test]
    fn a_path_that_the_router_would_reject_is_refused() {
        for path in ["", "a", "/{", "/}", "/{}", "/{*}", "/{*rest}/x", "/{a}{b}", "/{a/b}"] {
            assert!(Template::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn narrower_paths_are_sorted_before_wider_ones() {
        let mut paths = ["/{*rest}", "/{x}/b", "/a/{y}", "/a/b", "/a", "/a/"].map(template);
        paths.sort();
        assert_eq!(paths, ["/a", "/a/", "/a/b", "/a/{y}", "/{x}/b", "/{*rest}"].map(template));
    }

    #[test]
    fn paths_overlap_where_one_request_fits_both() {
        for (one, other, both) in [
            ("/a/{x}", "/a/b", true),
            ("/{x}/b", "/a/{y}", true),
            ("/{*rest}", "/a/b/c", true),
            ("/a/{*rest}", "/a/", true),
            ("/a/{*rest}", "/b/{x}", false),
            ("/a/{x}", "/a/b/c", false),
            ("/{x}/b", "//b", true),
            ("/a", "/b", false),
        ] {
            assert_eq!(template(one).overlaps(&template(other)), both, "{one} {other}");
            assert_eq!(template(other).overlaps(&template(one)), both, "{other} {one}");
        }
    }
}
