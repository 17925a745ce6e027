//! The figures of a destination: status, lag, progress and next run.

use auditstream_model::{
    AggregateItem, DestinationSpec, EpochMillis, HeldBack, SequenceGap, SignedIn, StreamingDetails,
};
use leptos::prelude::*;

use super::super::toggle::{Toggle, ToggleNote, use_toggle};
use crate::choice::Choice;
use crate::components::format::{bytes, duration, mebibytes, pluralise, seconds, with_thousands};
use crate::components::time::{Now, clock};
use crate::components::{Icon, Shape, TimeAgo};
use crate::paths;

/// The cards at the top of the page.
#[component]
pub fn Figures(item: Signal<AggregateItem>, user: SignedIn, refresh: Callback<()>) -> impl IntoView {
    let toggle = use_toggle(item);
    view! {
        <dl class="cards">
            <div class="card">
                <dt>"Status"</dt>
                <dd class="figure-text">
                    <Toggle item=item user=user state=toggle refresh=refresh />
                    <ToggleNote state=toggle />
                </dd>
            </div>
            <WaitingCard item=item />
            <ProgressCard item=item />
            <NextRunCard item=item />
        </dl>
    }
    .into_any()
}

#[component]
fn WaitingCard(item: Signal<AggregateItem>) -> impl IntoView {
    let now = use_context::<Now>();
    let behind = move || item.with(|item| item.streaming_details.behind);
    let text = move || {
        let now = now.and_then(|now| now.0.get());
        item.with(|item| waiting(&item.streaming_details, now))
    };
    view! {
        <div class="card">
            <dt>"Waiting"</dt>
            <dd>
                <span class="figure">{move || behind().map_or_else(|| "–".to_owned(), with_thousands)}</span>
                <span class="block muted">{text}</span>
            </dd>
        </div>
    }
}

/// Returns `5 events behind, the oldest for 3 min` and the like.
fn waiting(details: &StreamingDetails, now: Option<EpochMillis>) -> String {
    let age = match (details.waiting_since, now) {
        (Some(since), Some(now)) if now > since => format!("the oldest for {}", duration(now - since)),
        (Some(_), _) => "waiting for the next run".to_owned(),
        (None, _) => "nothing is waiting".to_owned(),
    };
    match details.behind {
        None => "not activated yet".to_owned(),
        Some(0) => "up to date".to_owned(),
        Some(events) => format!("{} behind, {age}", pluralise(events, "event")),
    }
}

#[component]
fn ProgressCard(item: Signal<AggregateItem>) -> impl IntoView {
    let cursor = move || item.with(|item| item.streaming_details.cursor);
    let last = move || item.with(|item| item.streaming_details.last_streamed_at);
    view! {
        <div class="card">
            <dt>"Streamed up to"</dt>
            <dd>
                <span class="figure">{move || cursor().map_or_else(|| "–".to_owned(), with_thousands)}</span>
                <span class="block muted">
                    {move || match last() {
                        Some(at) => view! { <TimeAgo at=Signal::stored(at) /> }.into_any(),
                        None => "Not streamed yet".into_any(),
                    }}
                </span>
            </dd>
        </div>
    }
}

#[component]
fn NextRunCard(item: Signal<AggregateItem>) -> impl IntoView {
    let next = Memo::new(move |_| item.with(|item| item.streaming_details.next_run));
    view! {
        <div class="card">
            <dt>"Next run"</dt>
            <dd>
                {move || match next.get() {
                    Some(at) => {
                        view! {
                            <span class="figure">{clock(at)}</span>
                            <span class="block muted"><TimeAgo at=Signal::stored(at) ahead=true /></span>
                        }
                            .into_any()
                    }
                    None => {
                        view! {
                            <span class="figure">"–"</span>
                            <span class="block muted">"when it is active"</span>
                        }
                            .into_any()
                    }
                }}
            </dd>
        </div>
    }
}

/// The settings and findings below the cards.
#[component]
pub fn DestinationFacts(item: Signal<AggregateItem>) -> impl IntoView {
    let place = move || {
        item.with(|item| {
            let spec = &item.streaming_destination.spec;
            let slash = if spec.prefix.as_str().is_empty() { "" } else { "/" };
            format!("{}{slash}{}", spec.bucket.as_str(), spec.prefix.as_str())
        })
    };
    let connector = move || {
        item.with(|item| {
            let info = item.connector_info.as_ref();
            info.map(|info| (info.name.to_string(), info.identifier.to_string()))
        })
    };
    let interval = move || {
        let own = item.with(|item| item.streaming_destination.spec.interval_seconds);
        own.map_or_else(|| "Default of the server".to_owned(), |own| seconds(own.into()))
    };
    let held_back = move || item.with(|item| item.streaming_details.held_back);
    let gap = move || item.with(|item| item.streaming_details.sequence_gaps.first().cloned());
    let unconditional = move || item.with(|item| item.streaming_destination.spec.unconditional_writes);
    let conditional_writes = move || item.with(|item| item.streaming_details.conditional_writes);
    view! {
        <dl class="facts destination-facts">
            <dt>"Amazon S3 Bucket"</dt>
            <dd class="mono">{place}</dd>
            <dt>"Streaming Connector"</dt>
            <dd>
                {move || match connector() {
                    Some((name, id)) => view! { <a href=paths::edit_connector(&id)>{name}</a> }.into_any(),
                    None => "None".into_any(),
                }}
            </dd>
            <dt>"Objects"</dt>
            <dd>{move || item.with(|item| objects(&item.streaming_destination.spec))}</dd>
            <dt>"Interval"</dt>
            <dd>{interval}</dd>
            {move || held_back().map(|held_back| view! { <HeldBackFact held_back=held_back /> })}
            {move || gap().map(|gap| view! { <SequenceGapFact gap=gap /> })}
            <dt>"Conditional writes"</dt>
            <dd>{move || view! { <ConditionalWrites honoured=conditional_writes() unconditional=unconditional() /> }}</dd>
        </dl>
    }
    .into_any()
}

/// Returns `Up to 10,000 events or 16 MiB, gzip at level 6` and the like.
fn objects(spec: &DestinationSpec) -> String {
    let compression = match spec.level() {
        Some(level) => format!("{} at level {level}", spec.compression.label()),
        None => "not compressed".to_owned(),
    };
    format!(
        "Up to {} or {}, {compression}",
        pluralise(spec.batch_events.into(), "event"),
        mebibytes(spec.batch_bytes.into())
    )
}

#[component]
fn ConditionalWrites(
    /// Whether the store honours `If-None-Match`; `None` if that was not checked.
    honoured: Option<bool>,
    /// Whether the destination writes without it.
    unconditional: bool,
) -> impl IntoView {
    let (class, shape, text) = match (unconditional, honoured) {
        (true, _) => (
            "status status-warn",
            Shape::Warning,
            "Off: the store does not protect objects from being overwritten",
        ),
        (false, None) => return view! { <span class="muted">"Not checked yet"</span> }.into_any(),
        (false, Some(true)) => ("status status-good", Shape::Check, "The store refuses to overwrite"),
        (false, Some(false)) => (
            "status status-warn",
            Shape::Warning,
            "The store does not honour If-None-Match, and nothing is streamed to it without the option “Write without conditions”",
        ),
    };
    view! { <span class=class><Icon shape=shape />{text}</span> }.into_any()
}

#[component]
fn HeldBackFact(held_back: HeldBack) -> impl IntoView {
    view! {
        <dt>"Held back"</dt>
        <dd title=format!("{} bytes", with_thousands(held_back.bytes))>
            {format!(
                "{} ({}) past the retention period, kept until this destination has received them",
                pluralise(held_back.events, "event"),
                bytes(held_back.bytes),
            )}
        </dd>
    }
}

/// The newest gap that a restore left.
#[component]
fn SequenceGapFact(gap: SequenceGap) -> impl IntoView {
    view! {
        <dt>"Gap in the sequences"</dt>
        <dd title=gap.reason>
            {format!("{} to {}: the database was restored, and numbering continued ", gap.first, gap.last)}
            <TimeAgo at=Signal::stored(gap.declared) />
        </dd>
    }
}
