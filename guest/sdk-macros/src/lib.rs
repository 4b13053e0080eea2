//! `#[wayside::policy]`: makes a function the component's `decide`.
//!
//! In: a function without arguments. Out: the same function, and the export that calls it. Written on `proc_macro`
//! alone, so that building a policy compiles no parser of Rust.

use proc_macro::{Delimiter, Span, TokenStream, TokenTree};

/// Makes a function the policy: called once for a request, it asks what it needs and answers with a decision.
///
/// The function takes nothing and returns anything that is `Into<Decision>`: a `Decision`, or an `Option<Decision>`,
/// where `None` is `Decision::Proceed`, so that `?` works on what is not known. A panic is a failure of the policy: its
/// message goes to the policy's log, and the binding's failure mode holds.
///
/// ```ignore
/// #[wayside::policy]
/// fn decide() -> Option<Decision> {
///     let country = visitor::country()?;
///     Some(Decision::redirect(settings::get(&country)?))
/// }
/// ```
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if let Some(first) = arguments.into_iter().next() {
        return refusal("`#[wayside::policy]` takes no arguments", first.span());
    }
    match function_name(item.clone()) {
        Ok(name) => item.into_iter().chain(export(&name)).collect(),
        Err((message, span)) => refusal(message, span),
    }
}

/// The name of the function, or why the item is none that can be a policy.
fn function_name(item: TokenStream) -> Result<String, (&'static str, Span)> {
    let mut tokens = item.into_iter();
    let expected = "`#[wayside::policy]` belongs on a function: `fn decide() -> Decision { … }`";
    let keyword = tokens
        .by_ref()
        .find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))
        .ok_or((expected, Span::call_site()))?;
    let Some(TokenTree::Ident(name)) = tokens.next() else {
        return Err((expected, keyword.span()));
    };
    match tokens.next() {
        Some(TokenTree::Group(arguments)) if arguments.delimiter() == Delimiter::Parenthesis => {
            if arguments.stream().is_empty() {
                Ok(name.to_string())
            } else {
                Err((
                    "a policy takes no arguments: it asks, as in `visitor::country()`",
                    arguments.span(),
                ))
            }
        }
        _ => Err(("a policy is a function without generics", name.span())),
    }
}

/// The export that calls the function of this name.
fn export(name: &str) -> TokenStream {
    let source = format!(
        "const _: () = {{
            struct Policy;
            impl ::wayside::__export::Guest for Policy {{
                fn decide() -> ::wayside::__export::Decision {{
                    ::wayside::__export::run(|| ::wayside::Decision::from({name}()))
                }}
            }}
            ::wayside::__export::export!(Policy with_types_in ::wayside::bindings);
        }};"
    );
    source.parse().unwrap_or_default()
}

/// A compiler error with this message at this place.
fn refusal(message: &str, span: Span) -> TokenStream {
    let source = format!("::core::compile_error!({message:?});");
    let tokens: TokenStream = source.parse().unwrap_or_default();
    tokens
        .into_iter()
        .map(|mut token| {
            token.set_span(span);
            token
        })
        .collect()
}
