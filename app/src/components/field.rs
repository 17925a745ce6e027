//! Inputs are uncontrolled: the server renders the first value, and hydration reads what has been
//! typed by then.

use leptos::prelude::*;

use crate::choice::{Choice, options};

/// An input and its text.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub value: RwSignal<String>,
    pub node: NodeRef<leptos::html::Input>,
}

impl Field {
    /// Creates a field that starts with a text.
    pub fn new(start: impl Into<String>) -> Self {
        Self {
            value: RwSignal::new(start.into()),
            node: NodeRef::new(),
        }
    }

    /// Replaces the text in the input.
    pub fn set(self, text: &str) {
        self.value.set(text.to_owned());
        if let Some(input) = self.node.get_untracked() {
            input.set_value(text);
        }
    }

    /// Returns the text, untracked.
    #[must_use]
    pub fn now(self) -> String {
        self.value.get_untracked()
    }
}

/// A line of text.
#[component]
pub fn TextField(
    label: &'static str,
    /// The name of the input, and the last part of its element id.
    name: &'static str,
    field: Field,
    #[prop(optional, into)] help: Option<String>,
    #[prop(optional, into)] error: Signal<Option<String>>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] readonly: Signal<bool>,
    #[prop(optional)] optional: bool,
    /// Whether it contains an id, a key or a bucket.
    #[prop(optional)]
    mono: bool,
    /// By default browsers suggest a new password for passwords, and nothing for other types.
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    #[prop(optional, into)] on_type: Option<Callback<String>>,
) -> impl IntoView {
    let id = format!("field-{name}");
    let note_id = format!("{id}-note");
    let typed = move |text: String| {
        field.value.set(text.clone());
        if let Some(on_type) = on_type {
            on_type.run(text);
        }
    };
    Effect::new(move |_| {
        if let Some(text) = field.node.get().map(|input| input.value())
            && text != field.value.get_untracked()
        {
            typed(text);
        }
    });
    let start = field.value.get_untracked();
    let described = note_id.clone();
    view! {
        <div class="field" class:field-invalid=move || error.get().is_some()>
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
                on:input:target=move |event| typed(event.target().value())
            />
            <p class="field-note" id=note_id aria-live="polite">
                {move || error.get().or_else(|| help.clone()).unwrap_or_default()}
            </p>
        </div>
    }
    .into_any()
}

/// One of several values.
#[component]
pub fn SelectField<T: Choice>(
    label: &'static str,
    name: &'static str,
    value: RwSignal<T>,
    #[prop(optional)] help: &'static str,
    #[prop(optional)] disabled: bool,
) -> impl IntoView {
    let id = format!("field-{name}");
    let node = NodeRef::<leptos::html::Select>::new();
    let choose = move |chosen: String| {
        if let Some(choice) = T::from_value(&chosen) {
            value.set(choice);
        }
    };
    // Reads what was chosen before hydration.
    Effect::new(move |_| {
        if let Some(select) = node.get() {
            choose(select.value());
        }
    });
    let start = value.get_untracked();
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <select id=id name=name disabled=disabled node_ref=node on:change:target=move |event| choose(event.target().value())>
                {options(&start)}
            </select>
            <p class="field-note">{help}</p>
        </div>
    }
    .into_any()
}

/// Yes or no.
#[component]
pub fn CheckField(
    label: &'static str,
    name: &'static str,
    value: RwSignal<bool>,
    #[prop(optional)] help: &'static str,
) -> impl IntoView {
    let node = NodeRef::<leptos::html::Input>::new();
    // Reads the box once at hydration, and writes it from then on.
    Effect::new(move |is_hydrated: Option<bool>| {
        let Some(input) = node.get() else { return false };
        if is_hydrated == Some(true) {
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
