//! Tags as chips.

use std::collections::BTreeMap;

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use super::{Field, Icon, Shape};

/// Tags: `key` or `key:value`, added with Enter or a comma.
#[component]
pub fn TagsField(
    /// The tags.
    tags: RwSignal<BTreeMap<String, String>>,
    /// What is being typed; whoever saves takes it along with [`add_typed`].
    typed: Field,
) -> impl IntoView {
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Enter" || event.key() == "," {
            event.prevent_default();
            add_typed(tags, typed);
        }
    };
    view! {
        <div class="field">
            <label for="field-tags">"Tags "<span class="muted">"(optional)"</span></label>
            <div class="chips">
                <For each=move || tags.get() key=|(key, value)| format!("{key}:{value}") let((key, value))>
                    <span class="chip">
                        {if value.is_empty() { key.clone() } else { format!("{key}:{value}") }}
                        <button
                            type="button"
                            aria-label=format!("Remove tag {key}")
                            on:click=move |_| {
                                tags.update(|tags| {
                                    tags.remove(&key);
                                })
                            }
                        >
                            <Icon shape=Shape::Cross />
                        </button>
                    </span>
                </For>
                <input
                    id="field-tags"
                    name="tags"
                    autocomplete="off"
                    aria-describedby="field-tags-note"
                    node_ref=typed.node
                    on:keydown=on_key
                    on:blur=move |_| add_typed(tags, typed)
                />
            </div>
            <p class="field-note" id="field-tags-note">"Type key or key:value, then press Enter."</p>
        </div>
    }
}

/// Makes a tag of what stands in the input.
pub fn add_typed(tags: RwSignal<BTreeMap<String, String>>, typed: Field) {
    let Some(input) = typed.node.get_untracked() else {
        return;
    };
    let text = input.value();
    let (key, value) = text.split_once(':').unwrap_or((&text, ""));
    if !key.trim().is_empty() {
        tags.update(|tags| {
            tags.insert(key.trim().to_owned(), value.trim().to_owned());
        });
        input.set_value("");
    }
}
