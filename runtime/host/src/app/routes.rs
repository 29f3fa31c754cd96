//! Which component serves a path: exact routes and `/...` wildcards; the longest match wins, and of equals the exact one.

use super::AppError;

/// Routes to indices of what serves them.
#[derive(Debug, Default)]
pub struct Routes {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The path, for a wildcard without its `/...`.
    base: String,
    wildcard: bool,
    target: usize,
}

impl Routes {
    /// Adds a route: `/path` matches that path alone, `/path/...` that path and everything below.
    ///
    /// # Errors
    /// A route that is malformed or exists already.
    pub fn add(&mut self, route: &str, target: usize) -> Result<(), AppError> {
        let (base, wildcard) = match route.strip_suffix("/...") {
            Some(base) => (base, true),
            None => (route, false),
        };
        let refuse = |reason: &str| Err(AppError::Unsupported(format!("the route '{route}' {reason}")));
        if !route.starts_with('/') {
            return refuse("does not begin with '/'");
        }
        if base.contains("...") {
            return refuse("has '...' before its end; it may only end in '/...'");
        }
        if base.split('/').any(|segment| segment.starts_with(':')) {
            return refuse("has a ':name' segment, which this trigger does not match; use a '/...' wildcard");
        }
        if self.entries.iter().any(|entry| entry.base == base && entry.wildcard == wildcard) {
            return refuse("stands in two triggers; every route has one component");
        }
        self.entries.push(Entry { base: base.to_owned(), wildcard, target });
        Ok(())
    }

    /// What serves `path`.
    pub fn find(&self, path: &str) -> Option<usize> {
        let matches = |entry: &&Entry| match path.strip_prefix(entry.base.as_str()) {
            Some(rest) if entry.wildcard => rest.is_empty() || rest.starts_with('/'),
            Some(rest) => rest.is_empty(),
            None => false,
        };
        self.entries.iter().filter(matches).max_by_key(|entry| (entry.base.len(), !entry.wildcard)).map(|entry| entry.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_wins() {
        let mut routes = Routes::default();
        for (target, route) in ["/...", "/v1/...", "/v1/models", "/health"].into_iter().enumerate() {
            routes.add(route, target).unwrap();
        }
        for (path, target) in [
            ("/", 0),
            ("/x", 0),
            ("/v1", 1),
            ("/v1/", 1),
            ("/v1/chat", 1),
            ("/v1/models", 2),
            ("/v1/models/a", 1),
            ("/v10", 0),
            ("/health", 3),
        ] {
            assert_eq!(routes.find(path), Some(target), "{path}");
        }
        let mut exact = Routes::default();
        exact.add("/a", 0).unwrap();
        exact.add("/a/...", 1).unwrap();
        assert_eq!(exact.find("/a"), Some(0));
        assert_eq!(exact.find("/a/b"), Some(1));
        assert_eq!(exact.find("/"), None);
    }

    #[test]
    fn malformed_routes_are_refused() {
        for (route, expected) in [("x", "begin"), ("/a/.../b", "may only end"), ("/a/:id", "':name'"), ("/...", "two triggers")] {
            let mut routes = Routes::default();
            routes.add("/...", 0).unwrap();
            let error = routes.add(route, 1).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(route), "{error}");
        }
    }
}
