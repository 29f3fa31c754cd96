//! The chat page's files: where they are, what they may do, how they are kept and compressed.

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;

use crate::world::{World, wait};

/// Bytes of the whole page as a browser loads it, with brotli.
const MOST_BYTES: usize = 120_000;

struct File {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl File {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn get(path: &str, headers: &[(&'static str, &str)]) -> File {
    let (parts, body) = World::new([]).get_with(path, headers).into_parts();
    let body = wait(body.collect()).unwrap().to_bytes().to_vec();
    File { status: parts.status, headers: parts.headers, body }
}

/// The files that the document names.
fn files(document: &str) -> Vec<String> {
    let names = |attribute: &str| {
        let parts: Vec<_> = document.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect();
        parts
    };
    [names("src=\""), names("href=\"")].concat()
}

/// Whether this build has the page. A plain `cargo test` may come before `cargo xtask page`; in CI it must not.
fn built() -> bool {
    let built = !World::new([]).get("/").text().contains("cargo xtask page");
    assert!(built || std::env::var_os("CI").is_none(), "this build has no page: `cargo xtask page` makes it");
    if !built {
        eprintln!("SKIPPED: this build has no page; `cargo xtask page` makes it");
    }
    built
}

#[test]
fn the_page_runs_nothing_but_its_own_files() {
    let page = World::new([]).get("/");
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy: Vec<_> = page.header("content-security-policy").split("; ").collect();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(policy.contains(&rule), "{rule}: {policy:?}");
    }
    assert_eq!(policy.len(), 10, "{policy:?}");
    assert_eq!((page.header("referrer-policy"), page.header("x-content-type-options")), ("no-referrer", "nosniff"));
    // Under this policy anything inline would be dead.
    let html = page.text();
    for inline in ["<script>", "<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"] {
        assert!(!html.contains(inline), "{inline}");
    }
}

#[test]
fn every_file_that_the_page_names_is_there_and_kept_for_ever() {
    if !built() {
        return;
    }
    let files = files(&World::new([]).get("/").text());
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let file = get(&path, &[]);
        assert_eq!((file.status.as_u16(), file.header("cache-control")), (200, "public, max-age=31536000, immutable"), "{path}");
        let kind = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            other => panic!("{other:?}"),
        };
        assert_eq!(file.header("content-type"), kind, "{path}");
        assert!(!file.text().contains("sourceMappingURL"), "{path}");
    }
    // The document names the others, so it is asked for each time.
    assert_eq!(get("/", &[]).header("cache-control"), "no-cache");
    for library in ["highlight.js", "markdown-it", "preact"] {
        assert!(get("/licences.txt", &[]).text().contains(library), "{library}");
    }
}

#[test]
fn the_best_coding_that_a_client_takes_is_sent() {
    if !built() {
        return;
    }
    let cases = [
        ("", ""),
        ("identity", ""),
        ("deflate, zstd", ""),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br; q=0.000, gzip;q=0", ""),
        ("br;q=oops", ""),
        ("brotli, x-gzip", ""),
    ];
    let plain = get("/", &[]);
    for (accepted, coding) in cases {
        let answer = get("/", &[("accept-encoding", accepted)]);
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-encoding"), answer.header("vary")),
            (200, coding, "accept-encoding"),
            "{accepted}"
        );
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{accepted}");
        assert_eq!(answer.header("etag") == plain.header("etag"), coding.is_empty(), "{accepted}: other bytes have another tag");
        assert_eq!(answer.body == plain.body, coding.is_empty(), "{accepted}");
        assert_eq!(answer.body.starts_with(b"\x1f\x8b"), coding == "gzip", "{accepted}");
    }
}

#[test]
fn a_client_that_has_a_file_is_told_so() {
    if !built() {
        return;
    }
    let files = files(&World::new([]).get("/").text());
    for path in files.iter().map(String::as_str).chain(["/", "/licences.txt"]) {
        for coding in ["", "gzip", "br"] {
            let etag = get(path, &[("accept-encoding", coding)]).header("etag").to_owned();
            assert!(etag.len() > 10 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
            for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
                let answer = get(path, &[("accept-encoding", coding), ("if-none-match", &known)]);
                assert_eq!((answer.status.as_u16(), answer.body.len(), answer.header("etag")), (304, 0, etag.as_str()), "{path} {known}");
                assert_eq!((answer.header("content-length"), answer.header("content-encoding")), ("", ""), "{path} {known}");
                assert!(!answer.header("content-security-policy").is_empty() && !answer.header("cache-control").is_empty());
            }
            let other = get(path, &[("accept-encoding", coding), ("if-none-match", "\"other\"")]);
            assert_eq!(other.status.as_u16(), 200, "{path}");
        }
    }
}

#[test]
fn the_page_is_small() {
    if !built() {
        return;
    }
    let files = files(&World::new([]).get("/").text());
    let size = |coding: &str| -> usize {
        files.iter().map(String::as_str).chain(["/"]).map(|path| get(path, &[("accept-encoding", coding)]).body.len()).sum()
    };
    let [plain, gzip, brotli] = ["identity", "gzip", "br"].map(size);
    assert!(brotli < MOST_BYTES, "{brotli} bytes with brotli");
    assert!(brotli < gzip && gzip < plain / 2, "{brotli}, {gzip}, {plain}");
}
