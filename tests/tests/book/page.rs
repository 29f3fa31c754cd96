//! A Markdown file as its tests see it: blocks of commands with their marks, links, and what can be linked to.
//!
//! | in the page | what it means |
//! |---|---|
//! | ```` ```sh,test ```` | run by bash, in the page's folder, with the variables and the folder that the blocks before it left; `python,test` and `js,test` as programs |
//! | ```` ```sh,test,serve ```` | a server: started, waited for, and left running until the page ends or another takes its port. `serve=8443` says the port where it is not 18789 |
//! | ```` ```sh,test,fails ```` | must end with an error |
//! | ```` ```text,output ```` | what the block before it prints: these lines, in this order, among others; `…` stands for anything |
//! | ```` ```toml,file=hearth.toml ```` | written to this file of the page's folder, whatever language it is |
//! | `<!-- not run: why -->` | the next block of commands is left out |
//! | `<!-- page not run: why -->` | all blocks without a mark are |
//! | `<!-- run: command -->`, `<!-- serve: command -->`, `<!-- serve=6379: command -->` | as such a block, which readers don't see |

use std::{collections::HashSet, path::Path};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The languages of what a reader types.
const SHELLS: [&str; 5] = ["sh", "bash", "shell", "console", "shell-session"];

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// To be run, and to fail where `fails`.
    Run { language: String, fails: bool },
    /// To be started, and to run on.
    Serve { port: u16 },
    /// To be compared with what the commands before it printed.
    Output,
    /// To be written to this file.
    File(String),
    /// Commands that are left out, with the reason; none where nothing is said of them.
    LeftOut(Option<String>),
}

/// A part of a page, with its text and the line that it begins in.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) part: Part,
    pub(crate) text: String,
}

#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) blocks: Vec<Block>,
    /// Where links and pictures lead, with their lines.
    pub(crate) links: Vec<(usize, String)>,
    /// What `#…` can name.
    pub(crate) anchors: HashSet<String>,
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let line = |offset: usize| 1 + text[..offset].matches('\n').count();
        let mut page = Self::default();
        let (mut left_out, mut page_left_out) = (None, None);
        let (mut code, mut heading, mut html): (Option<(String, String)>, Option<String>, String) = (None, None, String::new());
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => code = Some((info.into_string(), String::new())),
                Event::End(TagEnd::CodeBlock) => {
                    let Some((info, text)) = code.take() else { continue };
                    if let Some(part) = part(&info, &text, &mut left_out) {
                        page.blocks.push(Block { line: line(range.start), part, text });
                    }
                }
                Event::Text(text) if code.is_some() => code.as_mut().expect("a block").1.push_str(&text),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.anchor(&heading.take().unwrap_or_default()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line(range.start), dest_url.into_string()))
                }
                Event::Start(Tag::HtmlBlock) => html.clear(),
                Event::Html(text) => html.push_str(&text),
                Event::End(TagEnd::HtmlBlock) => {
                    for comment in html.split("<!--").skip(1).filter_map(|rest| Some(rest.split_once("-->")?.0.trim())) {
                        let said = |mark: &str| comment.strip_prefix(mark).map(|rest| rest.trim().to_owned());
                        let hidden = |part: Part, text: String| Block { line: line(range.start), part, text };
                        if let Some(why) = said("not run:") {
                            left_out = Some(why);
                        } else if let Some(why) = said("page not run:") {
                            page_left_out = Some(why);
                        } else if let Some(command) = said("run:") {
                            page.blocks.push(hidden(Part::Run { language: "sh".to_owned(), fails: false }, command));
                        } else if let Some(command) = said("serve:") {
                            page.blocks.push(hidden(Part::Serve { port: 18789 }, command));
                        } else if let Some((port, command)) = said("serve=").as_deref().and_then(|rest| rest.split_once(": ")) {
                            page.blocks.push(hidden(Part::Serve { port: number(port) }, command.to_owned()));
                        }
                    }
                }
                _ => {}
            }
        }
        for block in &mut page.blocks {
            if block.part == Part::LeftOut(None) {
                block.part = Part::LeftOut(page_left_out.clone());
            }
        }
        page
    }

    /// A heading's anchor, as GitHub and mdBook make it.
    fn anchor(&mut self, heading: &str) {
        let plain = heading.trim().to_lowercase().replace(' ', "-");
        let name: String = plain.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect();
        let mut anchor = name.clone();
        for number in 1.. {
            if self.anchors.insert(anchor.clone()) {
                break;
            }
            anchor = format!("{name}-{number}");
        }
    }
}

/// What a fenced block is; none where it is none of ours.
fn part(info: &str, text: &str, left_out: &mut Option<String>) -> Option<Part> {
    let mut words = info.split([',', ' ']).map(str::trim);
    let language = words.next().unwrap_or_default().to_owned();
    let marks: Vec<&str> = words.collect();
    if let Some(file) = marks.iter().find_map(|mark| mark.strip_prefix("file=")) {
        return Some(Part::File(file.to_owned()));
    }
    if marks.contains(&"output") {
        return Some(Part::Output);
    }
    if marks.contains(&"test") {
        let serve = marks.iter().find_map(|mark| if *mark == "serve" { Some("18789") } else { mark.strip_prefix("serve=") });
        return Some(match serve {
            Some(port) => Part::Serve { port: number(port) },
            None => Part::Run { language, fails: marks.contains(&"fails") },
        });
    }
    let typed = SHELLS.contains(&language.as_str())
        || language.is_empty()
            && text.lines().any(|line| ["hearth ", "cargo ", "spin ", "sudo ", "curl ", "$ "].iter().any(|start| line.starts_with(start)));
    // What is said of other blocks, of Python say, need not be; but it is told.
    (typed || left_out.is_some()).then(|| Part::LeftOut(left_out.take()))
}

fn number(port: &str) -> u16 {
    port.parse().unwrap_or_else(|_| panic!("`serve={port}` names no port"))
}

#[test]
fn a_page_is_taken_apart() {
    let page = Page::parse(concat!(
        "# A `page`: two\n\n[there](other.md#x) ![p](p.webp)\n\n<!-- serve: hearth serve -->\n\n```sh,test\necho a\n```\n```text,output\na\n```\n",
        "## Two\n## Two\n<!-- not run: needs root -->\n```sh\nsudo ls\n```\n```sh\nls\n```\n```\nhearth serve   it serves\n```\n```toml,file=a.toml\nb = 1\n```\n",
        "```sh,test,serve=8443\nnginx\n```\n```json\n{}\n```\n"
    ));
    let parts: Vec<_> = page.blocks.iter().map(|block| (block.line, &block.part, block.text.trim())).collect();
    let run = Part::Run { language: "sh".to_owned(), fails: false };
    let (left_out, unmarked) = (Part::LeftOut(Some("needs root".to_owned())), Part::LeftOut(None));
    assert_eq!(
        parts,
        [
            (5, &Part::Serve { port: 18789 }, "hearth serve"),
            (7, &run, "echo a"),
            (10, &Part::Output, "a"),
            (16, &left_out, "sudo ls"),
            (19, &unmarked, "ls"),
            (22, &unmarked, "hearth serve   it serves"),
            (25, &Part::File("a.toml".to_owned()), "b = 1"),
            (28, &Part::Serve { port: 8443 }, "nginx"),
        ]
    );
    assert_eq!(page.links, [(3, "other.md#x".to_owned()), (3, "p.webp".to_owned())]);
    assert_eq!(page.anchors, ["a-page-two", "two", "two-1"].map(str::to_owned).into());
}
