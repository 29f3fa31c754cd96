//! Lines over a logarithmic axis, as SVG: readable on light and dark pages, and small enough to be reviewed as text.

use std::fmt::Write;

use super::results::{Plot, Results, Section, median};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Space for the axes' numbers, and on the right for the legend.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;

/// Of llama.cpp and of Hearth, native and wasm.
const COLOURS: [&str; 3] = ["#c2410c", "#1d4ed8", "#15803d"];
/// One model and number of threads is told from another by its dashes.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

struct Line {
    label: String,
    colour: &'static str,
    dash: &'static str,
    points: Vec<(f64, f64)>,
}

/// The plot of what the results have for it, if anything.
pub(super) fn svg(results: &Results, plot: Plot, title: &str) -> Option<String> {
    let lines = lines(results, plot);
    if lines.is_empty() {
        return None;
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let xs = || points().map(|point| point.0);
    let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(1.0, f64::max));
    let top = nice(points().map(|point| point.1).fold(0.0, f64::max));
    // Each doubling is as wide as the next; a single number of clients stands at the left.
    let span = (right / left).log2().max(1.0);
    let x = |value: f64| LEFT + (value / left).log2() / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let (at, end) = (y(value), WIDTH - RIGHT);
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#d4d4d4\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, at + 4.0, tick(value));
    }
    let mut ticks: Vec<f64> = xs().collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    for value in ticks {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>", x(value), HEIGHT - BOTTOM + 18.0);
    }
    for (at, line) in lines.iter().enumerate() {
        let Line { label, colour, dash, points } = line;
        let path: Vec<String> = points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        let stroke = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" {stroke}/>", path.join(" "));
        for point in points {
            let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(point.0), y(point.1));
        }
        let (from, row) = (WIDTH - RIGHT + 14.0, TOP + 18.0 * at as f64 + 8.0);
        let _ = writeln!(svg, "<line x1=\"{from}\" y1=\"{row}\" x2=\"{}\" y2=\"{row}\" {stroke}/>", from + 26.0);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" font-size=\"10\">{}</text>", from + 32.0, row + 4.0, escaped(label));
    }
    svg += "</svg>\n";
    Some(svg)
}

/// A line for each engine and curve; the native shape is in two sections and drawn once.
fn lines(results: &Results, plot: Plot) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut curves: Vec<&str> = Vec::new();
    for row in &results.rows {
        let Some(point) = row.point.as_ref().filter(|point| point.plot == plot) else { continue };
        let curve = curves.iter().position(|curve| *curve == point.curve).unwrap_or_else(|| {
            curves.push(&point.curve);
            curves.len() - 1
        });
        let sides: &[(usize, &str, &[f64])] = match row.section {
            Section::Engines => &[(0, "llama.cpp", &row.peer), (1, "Hearth", &row.ours)],
            Section::Servers => &[(0, "llama-server", &row.peer), (1, "Hearth, native", &row.ours)],
            Section::Shapes => &[(2, "Hearth, wasm", &row.ours)],
        };
        for (colour, engine, samples) in sides {
            let value = median(samples);
            if !value.is_finite() {
                continue;
            }
            let label = format!("{engine}: {}", point.curve);
            let at = lines.iter().position(|line| line.label == label).unwrap_or_else(|| {
                lines.push(Line { label, colour: COLOURS[*colour], dash: DASHES[curve % DASHES.len()], points: Vec::new() });
                lines.len() - 1
            });
            lines[at].points.push((point.x, value));
        }
    }
    lines
}

/// The next number above of 1, 2, 4, 5, 8 times a power of ten: an axis's end.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0].into_iter().map(|step| step * power).find(|end| *end >= value).unwrap_or(10.0 * power)
}

fn tick(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        machine::Machine,
        results::{Row, Target, Unit},
    };

    #[test]
    fn each_engine_is_a_line_and_nothing_is_no_plot() {
        let mut results = Results::new(Machine::look(), true, std::path::Path::new("."));
        assert!(svg(&results, Plot::Batch, "Decode").is_none());
        for sequences in [1, 8, 32] {
            let mut row = Row::new(Section::Engines, "x", Unit::TokensPerSecond, Target::None).on(Plot::Batch, "a <model>", sequences);
            (row.peer, row.ours) = (vec![10.0], vec![20.0 * sequences as f64]);
            results.rows.push(row);
        }
        let svg = svg(&results, Plot::Batch, "Decode").unwrap();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 6));
        assert!(svg.contains("a &lt;model&gt;") && svg.contains(">800<"), "{svg}");
        assert_eq!([nice(640.0), nice(1.0), nice(4.1)], [800.0, 1.0, 5.0]);
    }
}
