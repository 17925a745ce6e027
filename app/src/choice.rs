//! Values that people choose from a list.

use auditstream_model::{Compression, Format, Role, Show, StartAt, TimeRange};
use leptos::prelude::*;

/// A value that a `<select>` offers.
pub trait Choice: Clone + PartialEq + Send + Sync + 'static {
    /// The values on offer, in order.
    const ALL: &'static [Self];

    /// Returns the value of the `<option>`.
    fn value(&self) -> &str;

    /// Returns the text of the `<option>`.
    fn label(&self) -> &str;

    /// Returns the choice with this value, or `None` if there is none.
    fn from_value(value: &str) -> Option<Self> {
        Self::ALL.iter().find(|choice| choice.value() == value).cloned()
    }
}

/// The options of a `<select>`. A selected value that is not on offer is added, so that it is kept.
pub fn options<T: Choice>(selected: &T) -> impl IntoView + use<T> {
    let extra = (!T::ALL.contains(selected)).then_some(selected);
    T::ALL
        .iter()
        .chain(extra)
        .map(|choice| {
            let is_selected = choice == selected;
            view! { <option value=choice.value().to_owned() selected=is_selected>{choice.label().to_owned()}</option> }
        })
        .collect_view()
}

/// Implements [`Choice`] for an enum of the model, with the wire names as values.
macro_rules! choices {
    ($($choice:ident { $($variant:ident: $label:literal,)* })*) => {
        $(impl Choice for $choice {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn value(&self) -> &str {
                self.as_str()
            }

            fn label(&self) -> &str {
                match self { $(Self::$variant => $label,)* }
            }
        })*
    };
}

choices! {
    Role {
        Viewer: "Account Viewer",
        Admin: "Account Admin",
    }
    TimeRange {
        Day: "Last 24 hours",
        Week: "Last 7 days",
        Month: "Last 30 days",
        All: "All time",
        Future: "Dated in the future",
    }
    Show {
        All: "All events",
        NoLogin: "Exclude login events",
        NoSystem: "Exclude system events",
    }
    Format {
        Ndjson: "NDJSON: one event per line",
        JsonArray: "JSON array",
    }
    Compression {
        Gzip: "gzip",
        Zstd: "Zstandard",
        None: "None",
    }
    StartAt {
        Now: "Now: only events from then on",
        Oldest: "The oldest event of the trail",
    }
}
