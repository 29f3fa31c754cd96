//! The documentation holds what it says: every command of every page is run or left out with a reason, every link leads somewhere, and the book has every page.

mod links;
mod page;
mod reader;

use std::{collections::BTreeSet, path::Path, time::Instant};

use hearth_tests::{root, test_data};

use crate::{
    page::{Page, Part},
    reader::Reader,
};

/// Runs the commands of all pages; `HEARTH_BOOK=docs/nginx.md` those of one.
#[test]
fn every_command_is_run_or_left_out_with_a_reason() {
    let (Some(models), Some(_)) = (test_data("models"), test_data("smollm2.gguf")) else { return };
    let data = models.parent().expect("the models lie in the test data");
    let only = std::env::var("HEARTH_BOOK").ok();
    let (mut run, mut left_out, mut wrong) = (0, 0, Vec::new());
    for (name, page) in links::pages() {
        let chosen = only.as_ref().is_none_or(|only| Path::new(only) == name);
        if !chosen || !page.blocks.iter().any(|block| !matches!(block.part, Part::File(_) | Part::Output)) {
            continue;
        }
        let name_of = name.display();
        for block in page.blocks.iter().filter(|block| block.part == Part::LeftOut(None)) {
            wrong.push(format!("{name_of}:{}: mark these commands `sh,test`, or say above them why not: <!-- not run: … -->", block.line));
        }
        let start = Instant::now();
        let outcome = Reader::new(&name, data).read(&page);
        eprintln!("{name_of}: {} run, {} left out, {:.1} s", outcome.run, outcome.left_out.len(), start.elapsed().as_secs_f64());
        for (line, why) in &outcome.left_out {
            eprintln!("  line {line} left out: {why}");
        }
        run += outcome.run;
        left_out += outcome.left_out.len();
        wrong.extend(outcome.failed.map(|why| format!("{name_of}: {why}")));
    }
    eprintln!("{run} blocks of commands run, {left_out} left out");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 0, "nothing was run");
}

#[test]
fn every_link_leads_somewhere() {
    let broken = links::broken(&links::pages());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_book_has_every_page() {
    let summary = Page::read(&root().join("docs/SUMMARY.md"));
    let listed: BTreeSet<_> = summary.links.iter().map(|(_, link)| Path::new("docs").join(link)).collect();
    for (name, _) in links::pages() {
        // What else lies in folders are parts of pages.
        let page = name.parent() == Some(Path::new("docs")) || name.starts_with("docs") && name.ends_with("README.md");
        if page && name != Path::new("docs/SUMMARY.md") {
            assert!(listed.contains(&name), "{}: list it in docs/SUMMARY.md", name.display());
        }
    }
}
