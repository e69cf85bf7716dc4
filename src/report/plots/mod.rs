//! The plots, each as SVG and as PNG.

mod availability;
mod bar;
mod broken;
mod clocks;
mod closeup;
mod font;
mod gantt;
mod inline;
mod latency;
mod lifelines;
mod mark;
mod network;
mod palette;
mod panel;
mod picture;
mod rate;
mod render;
mod scale;
mod sheet;
mod surroundings;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};

use plotters::prelude::{BitMapBackend, IntoDrawingArea as _, SVGBackend};

pub(super) use self::broken::margin_text;
pub(super) use self::inline::{Inline, Inlines};
use self::latency::Latencies;
use self::picture::Picture;
pub(super) use self::scale::round_step;
use super::ReportError;
use super::story::Story;

/// Who held which lock over the whole run.
const GANTT: &str = "gantt";

/// The close-up of the most telling anomaly, where there is one.
pub(super) const CLOSEUP: &str = "gantt-anomaly";

/// How many operations there were over the whole run.
const RATE: &str = "rate";

/// The picture to look at first.
pub(super) fn first(story: &Story<'_>) -> &'static str {
    if story.telling_anomaly().is_some() {
        CLOSEUP
    } else if story.is_about_registers() {
        RATE
    } else {
        GANTT
    }
}

/// Writes all plots into a folder: the files written, and what failed.
pub(super) fn write_all(story: &Story<'_>, folder: &Path) -> (Vec<PathBuf>, Vec<ReportError>) {
    let mut written = Vec::new();
    let mut failed = Vec::new();
    if let Err(error) = font::register() {
        return (written, vec![error]);
    }
    if let Err(source) = fs::create_dir_all(folder) {
        return (written, vec![ReportError::Write { path: folder.to_owned(), source }]);
    }
    for (name, picture) in pictures(story) {
        for write in [write_svg, write_png] {
            match write(name, &picture, folder) {
                Ok(path) => written.push(path),
                Err(error) => failed.push(error),
            }
        }
    }
    (written, failed)
}

/// The colour of a fault as pages write it.
pub(super) fn fault_colour(story: &Story<'_>, package: &str) -> String {
    palette::package_of(story, package).hex()
}

/// The most telling anomaly from close by, where there is one.
fn close_up(story: &Story<'_>) -> Option<Picture> {
    let anomaly = story.telling_anomaly()?;
    Some(if story.cannot_be_ordered(anomaly) { witness::of(story, anomaly) } else { closeup::of(story, anomaly) })
}

/// Every picture that the story gives something to draw for, by name.
fn pictures(story: &Story<'_>) -> Vec<(&'static str, Picture)> {
    let mut pictures = Vec::new();
    if !story.is_about_registers() {
        pictures.push((GANTT, gantt::whole_run(story)));
    }
    pictures.extend(close_up(story).map(|picture| (CLOSEUP, picture)));
    if !story.ops.is_empty() {
        pictures.push(("latency", Latencies::of(story).draw(latency::FINE)));
        pictures.push((RATE, rate::of(story)));
        pictures.push(("availability", availability::of(story)));
    }
    if lifelines::are_any(story) {
        pictures.push(("lifelines", lifelines::of(story)));
    }
    if !story.clocks.is_empty() {
        pictures.push(("clocks", clocks::of(story)));
    }
    if !story.links.is_empty() {
        pictures.push(("network", network::of(story)));
    }
    pictures
}

/// All plots as SVG, by name.
pub(super) fn svgs(story: &Story<'_>) -> Result<Vec<(&'static str, String)>, ReportError> {
    font::register()?;
    pictures(story).iter().map(|(name, picture)| Ok((*name, svg(name, picture)?))).collect()
}

fn svg(name: &str, picture: &Picture) -> Result<String, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size(picture)).into_drawing_area();
        render::draw(picture, render::SVG_LOWERED, &area).map_err(|error| cannot_draw(name, &error))?;
    }
    Ok(svg)
}

fn write_svg(name: &str, picture: &Picture, folder: &Path) -> Result<PathBuf, ReportError> {
    let path = folder.join(format!("{name}.svg"));
    let svg = svg(name, picture)?;
    fs::write(&path, svg).map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn write_png(name: &str, picture: &Picture, folder: &Path) -> Result<PathBuf, ReportError> {
    let path = folder.join(format!("{name}.png"));
    {
        let area = BitMapBackend::new(&path, size(picture)).into_drawing_area();
        render::draw(picture, render::BITMAP_LOWERED, &area).map_err(|error| cannot_draw(name, &error))?;
    }
    Ok(path)
}

fn size(picture: &Picture) -> (u32, u32) {
    (picture.width.unsigned_abs(), picture.height.unsigned_abs())
}

fn cannot_draw(plot: &str, reason: &dyn std::error::Error) -> ReportError {
    ReportError::Draw { plot: plot.to_owned(), reason: reason.to_string() }
}
