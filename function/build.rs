//! Embeds the chat page: what `cargo xtask page` left in `target/page`, or where that is missing a page that says so.
//!
//! The output is the source of a table of files, which `src/page.rs` includes.

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).to_owned();
    let page = root.join("../target/page");
    // cargo runs a script again and again that watches a path which is not there, and builds what depends on it each time.
    let _ = fs::create_dir_all(&page);
    println!("cargo::rerun-if-changed={}", page.display());
    println!("cargo::rerun-if-changed=page/fallback.html");

    let mut table = String::from("[");
    match fs::read_to_string(page.join("manifest")) {
        Ok(manifest) => manifest.lines().for_each(|line| built(&mut table, &page, line)),
        Err(_) => fallback(&mut table, &root),
    }
    table += "]";
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("page.rs"), table).expect("OUT_DIR can be written to");
}

/// A file of the built page: its line of the manifest is path, content type, ETag, caching and name.
fn built(table: &mut String, page: &Path, line: &str) {
    let fields: Vec<_> = line.split('\t').collect();
    let [path, content_type, etag, caching, name] = fields[..] else {
        panic!("target/page/manifest: {line:?} is no file: build the page again")
    };
    let immutable = caching == "immutable";
    let bytes = |suffix: &str| format!("include_bytes!({:?})", page.join(format!("{name}{suffix}")));
    let (plain, brotli, gzip) = (bytes(""), bytes(".br"), bytes(".gz"));
    write!(
        table,
        "Asset {{ path: {path:?}, content_type: {content_type:?}, etag: Some({etag:?}), immutable: {immutable}, plain: {plain}, brotli: Some({brotli}), gzip: Some({gzip}) }},"
    )
    .expect("a string takes it");
}

fn fallback(table: &mut String, root: &Path) {
    let file = root.join("page/fallback.html");
    write!(
        table,
        "Asset {{ path: \"/\", content_type: \"text/html; charset=utf-8\", etag: None, immutable: false, plain: include_bytes!({file:?}), brotli: None, gzip: None }}"
    )
    .expect("a string takes it");
}
