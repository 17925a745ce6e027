//! The form that sets the retention.

use auditstream_model::{FieldErrors, Permission, RetentionInput, RetentionView, SignedIn};
use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use crate::components::{Field, FormErrors, Icon, ProblemAlert, Shape, TextField};
use crate::server_functions::retention::set_retention;
use crate::session::denied;

/// The form.
#[component]
pub fn RetentionForm(retention: RwSignal<RetentionView>, user: SignedIn) -> impl IntoView {
    let refused = denied(&user, Permission::EditAccount);
    let own_days = retention.with_untracked(|it| it.own_days);
    let days = Field::new(own_days.map(|days| days.to_string()).unwrap_or_default());
    let errors = FormErrors::new();
    let done = RwSignal::new(false);
    let save = Action::new(|input: &RetentionInput| set_retention(*input));
    Effect::new(move |_| match save.value().get() {
        None => {}
        Some(Ok(saved)) => {
            retention.set(saved);
            done.set(true);
        }
        Some(Err(error)) => errors.refuse(&error),
    });
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if refused.is_some() || save.pending().get_untracked() {
            return;
        }
        errors.clear();
        done.set(false);
        match typed(&days.now()) {
            Ok(input) => {
                save.dispatch(input);
            }
            Err(invalid) => errors.set(invalid),
        }
    };
    view! {
        <h2 class="section">"Change the retention"</h2>
        <form method="dialog" class="narrow stack" on:submit=submit novalidate>
            <TextField
                label="Days"
                name="days"
                field=days
                optional=true
                error=errors.field("days", days.value)
                readonly=Signal::stored(refused.is_some())
                help="Empty for the default of the server. A longer retention applies at once, a shorter one after a day."
            />
            {refused.map(|reason| view! { <p class="muted reason">{reason}</p> })}
            {move || errors.problem().get().map(|error| view! { <ProblemAlert error=error /> })}
            <div role="status">
                <Show when=move || done.get()>
                    <p class="status status-good"><Icon shape=Shape::Check />"Saved."</p>
                </Show>
            </div>
            <div class="form-actions">
                <button
                    type="submit"
                    class="button primary"
                    disabled=move || refused.is_some() || save.pending().get()
                    title=refused
                >
                    {move || if save.pending().get() { "Saving…" } else { "Save" }}
                </button>
            </div>
        </form>
    }
    .into_any()
}

fn typed(text: &str) -> Result<RetentionInput, FieldErrors> {
    let text = text.trim();
    let days = match text {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| FieldErrors::one("days", "Enter a whole number of days."))?,
        ),
    };
    let input = RetentionInput { days };
    input.parse().map(|_| input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_within_the_limits_or_empty() {
        let days = |text| typed(text).map(|input| input.days);
        assert_eq!(days(" 90 "), Ok(Some(90)));
        assert_eq!(days(""), Ok(None));
        for invalid in ["0", "-1", "1.5", "90 days", "36501"] {
            assert!(days(invalid).is_err(), "{invalid}");
        }
    }
}
