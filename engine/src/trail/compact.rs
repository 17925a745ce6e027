//! Removes white space from JSON.

use auditstream_model::limits::EVENT_DEPTH;

/// Refuses JSON that readers disagree on: U+0000, half a surrogate pair, nesting that is too deep.
pub(super) fn compact(json: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut bytes = json.bytes().enumerate();
    let mut in_string = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                let escape = escape(json, at)?;
                out.extend_from_slice(escape.as_bytes());
                // The backslash is consumed already.
                bytes.by_ref().take(escape.len().saturating_sub(1)).for_each(drop);
                continue;
            }
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\n' | b'\r' if !in_string => continue,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > EVENT_DEPTH {
                    return Err(format!(
                        "The event nests deeper than {EVENT_DEPTH} levels at byte {at}."
                    ));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| "The event is not UTF-8.".to_owned())
}

/// The escape sequence at a byte: `\n`, `\u00e9`, or both halves of a surrogate pair.
fn escape(json: &str, at: usize) -> Result<&str, String> {
    let unit = code_unit(json, at);
    let length = match unit {
        None => 2,
        Some(0) => return Err(format!("The character U+0000 at byte {at} cannot be stored.")),
        Some(0xd800..0xdc00) if matches!(code_unit(json, at + 6), Some(0xdc00..0xe000)) => 12,
        Some(0xd800..0xe000) => return Err(format!("There is half a surrogate pair at byte {at}.")),
        Some(_) => 6,
    };
    Ok(json.get(at..at + length).unwrap_or_default())
}

fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn compacting_keeps_the_value(text in "\\PC{0,40}", number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let value = serde_json::json!({"t": text, "n": number, "a": [null, true, {"k": text}]});
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compacted = compact(&pretty).unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compacted).unwrap(), value);
            prop_assert!(!compacted.contains('\n'));
        }
    }
}
