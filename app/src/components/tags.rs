//! The tags of a connector or a destination.

use std::collections::BTreeMap;

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;

use super::{Icon, Shape};

const HELP: &str = "Type key or key:value, then press Enter.";

/// The tags and the text being typed.
#[derive(Clone, Copy, Debug)]
pub struct TagsInput {
    pub tags: RwSignal<BTreeMap<String, String>>,
    typed: NodeRef<leptos::html::Input>,
    /// The tag that the latest one has replaced.
    replaced: RwSignal<Option<String>>,
}

impl TagsInput {
    /// Creates the input of a form that starts with `tags`.
    #[must_use]
    pub fn new(tags: BTreeMap<String, String>) -> Self {
        Self {
            tags: RwSignal::new(tags),
            typed: NodeRef::new(),
            replaced: RwSignal::new(None),
        }
    }

    /// Turns the text in the input into a tag. Called before saving.
    pub fn add_typed(self) {
        let Some(input) = self.typed.get_untracked() else {
            return;
        };
        let text = input.value();
        let (key, value) = text.split_once(':').unwrap_or((&text, ""));
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        if key.is_empty() {
            return;
        }
        let known = self.tags.with_untracked(|tags| tags.get(&key).cloned());
        let replaced = known.filter(|known| *known != value);
        self.replaced.set(replaced.map(|known| tag_text(&key, &known)));
        self.tags.update(|tags| {
            tags.insert(key, value);
        });
        input.set_value("");
    }
}

fn tag_text(key: &str, value: &str) -> String {
    if value.is_empty() {
        key.to_owned()
    } else {
        format!("{key}:{value}")
    }
}

/// Tags: `key` or `key:value`, added with Enter or a comma.
#[component]
pub fn TagsField(input: TagsInput, #[prop(optional, into)] error: Signal<Option<String>>) -> impl IntoView {
    let TagsInput { tags, typed, replaced } = input;
    let on_key = move |event: KeyboardEvent| {
        if event.key() == "Enter" || event.key() == "," {
            event.prevent_default();
            input.add_typed();
        }
    };
    let note = move || {
        error
            .get()
            .or_else(|| {
                replaced
                    .get()
                    .map(|tag| format!("Each key has one value. This tag replaced {tag}."))
            })
            .unwrap_or_else(|| HELP.to_owned())
    };
    view! {
        <div class="field" class:field-invalid=move || error.get().is_some()>
            <label for="field-tags">"Tags "<span class="muted">"(optional)"</span></label>
            <div class="chips">
                <For each=move || tags.get() key=|(key, value)| format!("{key}:{value}") let((key, value))>
                    <span class="chip">
                        {tag_text(&key, &value)}
                        <button
                            type="button"
                            aria-label=format!("Remove tag {key}")
                            on:click=move |_| {
                                replaced.set(None);
                                tags.update(|tags| {
                                    tags.remove(&key);
                                });
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
                    aria-invalid=move || if error.get().is_some() { "true" } else { "false" }
                    node_ref=typed
                    on:keydown=on_key
                    on:blur=move |_| input.add_typed()
                />
            </div>
            <p class="field-note" id="field-tags-note" aria-live="polite">{note}</p>
        </div>
    }
}
