//! The plots as they stand within a page: without a title, and in colours that the page may change.

use super::latency::Latencies;
use super::picture::Picture;
use super::{availability, clocks, gantt, latency, lifelines, network, rate, svg};
use crate::report::ReportError;
use crate::report::story::Story;

/// A plot within a page.
#[derive(Clone, Debug)]
pub(in crate::report) struct Inline {
    /// The part of the drawing that is shown: `0 78 1280 540`.
    pub(in crate::report) view: String,
    /// The shapes, as SVG.
    pub(in crate::report) shapes: String,
}

/// All plots of a page, those that the story gives something to draw for.
#[derive(Debug)]
pub(in crate::report) struct Inlines {
    pub(in crate::report) closeup: Option<Inline>,
    /// The whole run, where it is not too much for a page that has it on its timeline anyway.
    pub(in crate::report) gantt: Option<Inline>,
    pub(in crate::report) lifelines: Option<Inline>,
    pub(in crate::report) latency: Option<Inline>,
    pub(in crate::report) rate: Option<Inline>,
    pub(in crate::report) availability: Option<Inline>,
    pub(in crate::report) clocks: Option<Inline>,
    pub(in crate::report) network: Option<Inline>,
}

impl Inlines {
    /// Draws them.
    ///
    /// # Errors
    ///
    /// Where the drawing library refuses: [`ReportError::Font`] or [`ReportError::Draw`].
    pub(in crate::report) fn of(story: &Story<'_>) -> Result<Self, ReportError> {
        super::font::register()?;
        let some = |wanted: bool, name: &str, draw: &dyn Fn() -> Picture| {
            if wanted { inline(name, draw()).map(Some) } else { Ok(None) }
        };
        let has_ops = !story.ops.is_empty();
        Ok(Self {
            closeup: super::close_up(story).map(|picture| inline(super::CLOSEUP, picture)).transpose()?,
            gantt: (!story.is_about_registers())
                .then(|| gantt::whole_run(story))
                .filter(is_light)
                .map(|gantt| inline(super::GANTT, gantt))
                .transpose()?,
            lifelines: some(lifelines::are_any(story), "lifelines", &|| lifelines::of(story))?,
            latency: some(has_ops, "latency", &|| light_latency(story))?,
            rate: some(has_ops, "rate", &|| rate::of(story))?,
            availability: some(has_ops, "availability", &|| availability::of(story))?,
            clocks: some(!story.clocks.is_empty(), "clocks", &|| clocks::of(story))?,
            network: some(!story.links.is_empty(), "network", &|| network::of(story))?,
        })
    }
}

/// Whether a page bears it: each shape is a thing of its own there.
fn is_light(picture: &Picture) -> bool {
    const SHAPES_MAX: usize = 2_500;
    picture.shapes().count() <= SHAPES_MAX
}

/// The latencies with as many marks as a page bears.
fn light_latency(story: &Story<'_>) -> Picture {
    let latencies = Latencies::of(story);
    let mut spot = latency::FINE;
    loop {
        let picture = latencies.draw(spot);
        if is_light(&picture) || spot > 12 {
            return picture;
        }
        spot += 3;
    }
}

fn inline(name: &str, picture: Picture) -> Result<Inline, ReportError> {
    let (picture, top) = picture.without_head();
    let view = format!("0 {top} {} {}", picture.width, picture.height - top);
    let whole = svg(name, &picture)?;
    let begin = whole.find('>').map_or(0, |end| end + 1);
    let end = whole.rfind("</svg>").unwrap_or(whole.len());
    Ok(Inline { view, shapes: whole[begin..end].trim().to_owned() })
}
