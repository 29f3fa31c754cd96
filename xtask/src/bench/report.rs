//! The page: docs/bench/README.md.

use std::{fmt::Write, fs, path::Path};

use anyhow::Context;

use super::{
    peer::FLASH,
    plot,
    results::{Plot, Results, Row, Section, Target, Unit, median},
};

/// Writes the page and its plots.
pub(super) fn write(folder: &Path, results: &Results) -> anyhow::Result<()> {
    let mut plots = String::new();
    let all = [
        (Plot::Batch, "decode.svg", "Decode: tokens a second by sequences together"),
        (Plot::Throughput, "throughput.svg", "Over HTTP: tokens a second by clients"),
        (Plot::FirstToken, "ttft.svg", "Over HTTP: median time to the first token by clients, ms"),
    ];
    for (kind, file, title) in all {
        if let Some(svg) = plot::svg(results, kind, title) {
            write_file(&folder.join(file), &svg)?;
            let _ = writeln!(plots, "![{title}]({file})\n");
        }
    }
    write_file(&folder.join("README.md"), &page(results, &plots))
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn page(results: &Results, plots: &str) -> String {
    let mut page = String::from("# Hearth and llama.cpp, measured in one run\n\n");
    let _ = write!(
        page,
        "Made by `cargo xtask bench`, which builds both from a clean clone, measures them in turns on the same model files and threads, and writes this page. \
         A figure is the median of its measurements, with the least and the most in brackets; a ratio is Hearth by llama.cpp, the median over the pairs. \
         All samples are in [results.json](results.json).\n\n"
    );
    if results.quick {
        page += "**This was a short run (`--quick`): its figures show that the harness works, and little more.**\n\n";
    }
    if results.machine.busy.is_some_and(|busy| busy > 0.05) {
        page += "**Other processes used the machine during this run: its figures are rough.**\n\n";
    }
    let _ = writeln!(page, "- date: {}\n- machine: {}\n- {}\n- {}", results.date, results.machine, results.peer, results.ours);
    if let Some(bandwidth) = results.bandwidth {
        let _ = writeln!(page, "- memory: {:.1} GB/s read by all cores together", bandwidth / 1e9);
    }
    page.push('\n');
    let judged: Vec<bool> = results.rows.iter().filter_map(Row::met).collect();
    let met = judged.iter().filter(|met| **met).count();
    let _ = writeln!(page, "Targets: {met} met, {} missed.\n", judged.len() - met);
    page += plots;
    let sections = [
        (Section::Engines, "Engines", ["llama.cpp", "Hearth"]),
        (Section::Servers, "Servers", ["llama-server", "hearth serve"]),
        (Section::Shapes, "The two shapes", ["native", "wasm"]),
    ];
    for (section, title, [peer, ours]) in sections {
        let rows: Vec<&Row> = results.rows.iter().filter(|row| row.section == section).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(page, "## {title}\n\n| | {peer} | {ours} | ratio | target | |\n|---|---|---|---|---|---|");
        for row in rows {
            page += &line(row);
        }
        page.push('\n');
    }
    page += METHOD;
    for setting in FLASH {
        let names: Vec<&str> = results.flash.iter().filter(|(flash, _)| flash == setting).map(|(_, name)| name.as_str()).collect();
        if !names.is_empty() {
            let _ = writeln!(page, "- llama.cpp was faster with flash attention {setting} in: {}", names.join("; "));
        }
    }
    for note in &results.notes {
        let _ = writeln!(page, "- {note}");
    }
    for failed in &results.failed {
        let _ = writeln!(page, "- not measured: {failed}");
    }
    page
}

/// What a reader must know to judge the figures.
const METHOD: &str = "## How it is measured

- Prefill and decode are llama-bench's pp and tg on random tokens, without tokenizing. llama.cpp is given flash attention on or off, whichever is
  faster for it in the row's first pair; llama-server, whichever decodes eight sequences faster.
- Hearth's decoding goes through its generate mode and so has greedy sampling in it; llama-bench samples nothing.
- Decode together is llama-batched-bench's S_TG: tokens a second of all sequences. llama.cpp is given the flash attention that decodes eight sequences faster.
- The share of the memory's bandwidth takes the size of the GGUF file as the bytes that a token reads (both models tie their output to their embedding). Where the weights fit
  the caches it can exceed 100 %.
- A start is seen from outside: from starting the process until `/health` answers 200, and until a request for one token is answered. Cold is after the system was asked to
  forget the model's file; programs stay cached.
- Peak memory is VmHWM of a server for one chat of 1,024 tokens, after 512 tokens of prompt and 128 of answer.
- The busy process is as many spinning threads as there are cores, at the same priority.
- Over HTTP all answers are streamed, greedy, and of one length; 32 sequences are computed together, further ones wait. The clients run on the same cores as the servers. llama-server
  has a slot and 1,024 tokens of context for each sequence. Each request has a connection of its own.
";

fn line(row: &Row) -> String {
    let target = match row.target {
        Target::RatioAtLeast(least) => format!("ratio ≥ {least}"),
        Target::RatioAtMost(most) => format!("ratio ≤ {most}"),
        Target::AtLeast(least) => format!("≥ {}", number(least, row.unit)),
        Target::AtMost(most) => format!("≤ {}", number(most, row.unit)),
        Target::None => String::new(),
    };
    let met = match row.met() {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    };
    let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
    format!("| {} | {} | {} | {ratio} | {target} | {met} |\n", row.name, cell(&row.peer, row.unit), cell(&row.ours, row.unit))
}

fn cell(samples: &[f64], unit: Unit) -> String {
    let middle = number(median(samples), unit);
    if samples.len() < 2 || unit == Unit::Count {
        return middle;
    }
    let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{middle} ({}–{})", bare(least, unit), bare(most, unit))
}

fn number(value: f64, unit: Unit) -> String {
    let bare = bare(value, unit);
    match unit {
        _ if value.is_nan() => bare,
        Unit::TokensPerSecond => format!("{bare} tokens/s"),
        Unit::Milliseconds => format!("{bare} ms"),
        Unit::Bytes => format!("{bare} MB"),
        Unit::Share => format!("{bare} %"),
        Unit::Count => bare,
    }
}

fn bare(value: f64, unit: Unit) -> String {
    let value = match unit {
        Unit::Bytes => value / 1e6,
        Unit::Share => value * 100.0,
        _ => value,
    };
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        _ if unit == Unit::Count => format!("{value:.0}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_both_figures_the_ratio_and_whether_its_target_was_met() {
        let mut row = Row::new(Section::Engines, "prefill of 512", Unit::TokensPerSecond, Target::RatioAtLeast(2.0));
        (row.peer, row.ours) = (vec![100.0, 110.0, 90.0], vec![250.0, 240.0, 230.0]);
        assert_eq!(line(&row), "| prefill of 512 | 100 tokens/s (90.0–110) | 240 tokens/s (230–250) | 2.50 | ratio ≥ 2 | met |\n");
        let mut row = Row::new(Section::Engines, "share", Unit::Share, Target::AtLeast(0.85));
        (row.peer, row.ours) = (vec![0.4], vec![0.5]);
        assert_eq!(line(&row), "| share | 40.0 % | 50.0 % | 1.25 | ≥ 85.0 % | **missed** |\n");
        let none = Row::new(Section::Engines, "none", Unit::Bytes, Target::RatioAtMost(1.1));
        assert_eq!(line(&none), "| none | – | – |  | ratio ≤ 1.1 |  |\n");
    }
}
