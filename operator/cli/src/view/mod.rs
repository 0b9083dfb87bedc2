//! What people see: pure functions from what is known to text.

mod advice;
mod events;
mod findings;
mod lineage;
mod search;
mod status;
mod table;
mod text;

pub(crate) use self::{
    events::{EventLine, Related, events_of},
    findings::render as render_findings,
    lineage::{Lineage, render as render_lineage},
    search::render as render_hits,
    status::{Summary, render as render_status, render_all as render_statuses},
    text::Paint,
};
