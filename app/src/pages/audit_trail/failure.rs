//! The failure of a destination.

use auditstream_model::AggregateItem;
use leptos::prelude::*;

use crate::components::{Icon, Shape, TimeAgo};

/// The failure of a destination and what to do, while there is one.
#[component]
pub fn FailureAlert(item: Signal<AggregateItem>) -> impl IntoView {
    let failure = Memo::new(move |_| item.with(|item| item.streaming_details.failure.clone()));
    move || {
        failure.get().map(|failure| {
            let at = failure.at;
            view! {
                <div class="banner banner-danger" role="alert">
                    <Icon shape=Shape::Warning />
                    <div>
                        <strong>{failure.message}</strong>
                        <p>{failure.hint}</p>
                        <p class="muted">
                            <span class="mono">{failure.code.as_str()}</span>" · "<TimeAgo at=Signal::stored(at) />
                        </p>
                    </div>
                </div>
            }
        })
    }
}
