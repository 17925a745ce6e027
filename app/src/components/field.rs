//! Form fields: label above, help below, error in place of help.
//!
//! Inputs are left to the browser: the server renders the first value, and what was typed before the page lived is read
//! from the input when it does.

use leptos::prelude::*;

/// The text of an input, and the input itself.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What stands in the input.
    pub value: RwSignal<String>,
    /// The input.
    pub node: NodeRef<leptos::html::Input>,
}

impl Field {
    /// A field that starts with a text.
    pub fn new(start: impl Into<String>) -> Self {
        Self {
            value: RwSignal::new(start.into()),
            node: NodeRef::new(),
        }
    }

    /// Writes a text into the input.
    pub fn set(self, text: &str) {
        self.value.set(text.to_owned());
        if let Some(input) = self.node.get_untracked() {
            input.set_value(text);
        }
    }

    /// What stands in the input now.
    #[must_use]
    pub fn now(self) -> String {
        self.value.get_untracked()
    }
}

/// A line of text.
#[component]
pub fn TextField(
    /// What is asked for.
    label: &'static str,
    /// The input's name, and the last part of its element id.
    name: &'static str,
    /// Its text.
    field: Field,
    /// What would be good to know.
    #[prop(optional, into)]
    help: Option<String>,
    /// What is wrong.
    #[prop(optional, into)]
    error: Signal<Option<String>>,
    /// The input's type.
    #[prop(default = "text")]
    kind: &'static str,
    /// Whether it can not be changed.
    #[prop(optional, into)]
    readonly: Signal<bool>,
    /// Whether it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// Whether it is an id, a key or a bucket.
    #[prop(optional)]
    mono: bool,
    /// What browsers may fill in; a new password for passwords, otherwise nothing.
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Told what somebody types.
    #[prop(optional, into)]
    on_type: Option<Callback<String>>,
) -> impl IntoView {
    let id = format!("field-{name}");
    let note_id = format!("{id}-note");
    Effect::new(move |_| {
        if let Some(input) = field.node.get() {
            let typed = input.value();
            if typed != field.value.get_untracked() {
                field.value.set(typed.clone());
                if let Some(on_type) = on_type {
                    on_type.run(typed);
                }
            }
        }
    });
    let start = field.value.get_untracked();
    let described = note_id.clone();
    view! {
        <div class="field" class:field-wrong=move || error.get().is_some()>
            <label for=id.clone()>{label} {optional.then(|| view! { <span class="muted">" (optional)"</span> })}</label>
            <input
                id=id
                name=name
                type=kind
                class:mono=mono
                value=start
                readonly=move || readonly.get()
                autocomplete=autocomplete.unwrap_or(if kind == "password" { "new-password" } else { "off" })
                spellcheck="false"
                aria-invalid=move || if error.get().is_some() { "true" } else { "false" }
                aria-describedby=described
                node_ref=field.node
                on:input:target=move |event| {
                    let text = event.target().value();
                    field.value.set(text.clone());
                    if let Some(on_type) = on_type {
                        on_type.run(text);
                    }
                }
            />
            <p class="field-note" id=note_id aria-live="polite">
                {move || error.get().or_else(|| help.clone()).unwrap_or_default()}
            </p>
        </div>
    }
    .into_any()
}

/// One of several words.
#[component]
pub fn SelectField(
    /// What is asked for.
    label: &'static str,
    /// The element's name.
    name: &'static str,
    /// The chosen word.
    value: RwSignal<String>,
    /// Words and what is shown for each.
    options: &'static [(&'static str, &'static str)],
    /// What would be good to know.
    #[prop(optional)]
    help: &'static str,
    /// Whether it can not be changed.
    #[prop(optional)]
    disabled: bool,
) -> impl IntoView {
    let id = format!("field-{name}");
    let node = NodeRef::<leptos::html::Select>::new();
    Effect::new(move |_| {
        if let Some(select) = node.get() {
            value.set(select.value());
        }
    });
    let start = value.get_untracked();
    // What was chosen elsewhere, and is none of the words here, stays unless another is chosen.
    let other = options.iter().all(|(word, _)| *word != start).then(|| start.clone());
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name disabled=disabled node_ref=node on:change:target=move |event| value.set(event.target().value())>
                {options
                    .iter()
                    .map(|(word, shown)| {
                        view! {
                            <option value=*word selected=*word == start>
                                {*shown}
                            </option>
                        }
                    })
                    .collect_view()}
                {other.map(|word| view! { <option value=word selected>{word.clone()}</option> })}
            </select>
            <p class="field-note">{help}</p>
        </div>
    }
}

/// Yes or no.
#[component]
pub fn CheckField(
    /// What is asked.
    label: &'static str,
    /// The element's name.
    name: &'static str,
    /// The answer.
    value: RwSignal<bool>,
    /// What would be good to know.
    #[prop(optional)]
    help: &'static str,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Input>::new();
    // What was ticked before the page came to life counts; from then on the answer does.
    Effect::new(move |alive: Option<bool>| {
        let Some(input) = node.get() else { return false };
        if alive == Some(true) {
            input.set_checked(value.get());
        } else {
            value.set(input.checked());
            value.track();
        }
        true
    });
    view! {
        <label class="check">
            <input
                type="checkbox"
                name=name
                checked=value.get_untracked()
                node_ref=node
                on:change:target=move |event| value.set(event.target().checked())
            />
            <span>
                {label}
                {(!help.is_empty()).then(|| view! { <span class="field-note block">{help}</span> })}
            </span>
        </label>
    }
}
