//! One picture: how much of the unguarded route's throughput is left when it is guarded. Written by hand,
//! since it is a dozen bars, and must be readable on a light and on a dark page.

use std::fmt::Write;

use crate::{
    results::Row,
    servers::{EXPLAINING, OAUTH, OURS, SERVERS},
};

const WIDTH: f64 = 760.0;
/// Where bars begin; names stand before it.
const LEFT: f64 = 330.0;
/// The length of a bar of one.
const FULL: f64 = 370.0;
const LINE: f64 = 27.0;
const TOP: f64 = 66.0;

pub fn draw(rows: &[Row]) -> String {
    let bars = bars(rows);
    let height = TOP + LINE * bars.len() as f64 + 34.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"Throughput of a guarded route\">\n\
         <style>\n\
         text {{ font: 14px system-ui, sans-serif; fill: #1f2328; }}\n\
         .title {{ font-weight: 600; font-size: 16px; }} .note {{ font-size: 12px; fill: #59636e; }}\n\
         .ours {{ fill: #0b7a5c; }} .peer {{ fill: #a9b1ba; }} .line {{ stroke: #59636e; stroke-dasharray: 3 3; }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #e6edf3; }} .note {{ fill: #9198a1; }}\n\
         .ours {{ fill: #3fb68b; }} .peer {{ fill: #59636e; }} .line {{ stroke: #9198a1; }}\n\
         }}\n</style>\n\
         <text class=\"title\" x=\"12\" y=\"26\">Throughput of a guarded route on one core</text>\n\
         <text class=\"note\" x=\"12\" y=\"46\">share of the same framework's unguarded route, HS256; longer is better</text>\n"
    );
    for (number, bar) in bars.iter().enumerate() {
        let middle = TOP + LINE * number as f64 + LINE / 2.0;
        let length = FULL * bar.ratio.clamp(0.0, 1.1);
        write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.0}\" rx=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\">{:.2}</text>\n",
            LEFT - 10.0,
            middle + 5.0,
            bar.name,
            if bar.ours { "ours" } else { "peer" },
            middle - 9.0,
            LINE - 9.0,
            LEFT + length + 6.0,
            middle + 5.0,
            bar.ratio,
        )
        .unwrap();
    }
    let (end, bottom) = (LEFT + FULL, height - 30.0);
    write!(
        svg,
        "<line class=\"line\" x1=\"{end}\" y1=\"{:.0}\" x2=\"{end}\" y2=\"{bottom}\"/>\n\
         <text class=\"note\" x=\"{end}\" y=\"{:.0}\" text-anchor=\"middle\">unguarded</text>\n</svg>\n",
        TOP - 4.0,
        bottom + 16.0
    )
    .unwrap();
    svg
}

struct Bar {
    name: String,
    ratio: f64,
    ours: bool,
}

/// The longest first. Who takes no secrets is shown with the algorithm that it is fastest in.
fn bars(rows: &[Row]) -> Vec<Bar> {
    const HS256: &str = "Throughput on one core, HS256";
    let in_table = |table: &str| rows.iter().filter(|row| row.table == table).collect::<Vec<_>>();
    let oauth = rows
        .iter()
        .filter(|row| row.name == OAUTH && row.table.starts_with("Throughput on one core, "))
        .max_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let mut bars: Vec<Bar> = in_table(HS256)
        .into_iter()
        .filter(|row| SERVERS.iter().any(|&(name, base)| name == row.name && name != base))
        .filter(|row| !EXPLAINING.contains(&row.name.as_str()))
        .map(|row| Bar { name: row.name.clone(), ratio: row.ratio, ours: OURS.contains(&row.name.as_str()) })
        .collect();
    if let Some(row) = oauth {
        let algorithm = row.table.rsplit(' ').next().unwrap_or_default();
        bars.push(Bar { name: format!("{OAUTH} ({algorithm})"), ratio: row.ratio, ours: false });
    }
    bars.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    bars
}
