//! `#[wayside::policy]` and `#[wayside::stream_policy]`: make a function the component's `decide`, or its `plan`.
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
    exported(arguments, item, &POLICY)
}

/// Makes a function the policy of streams: called once for a request about an asset, it asks what it needs and answers
/// with a plan.
///
/// The function takes nothing and returns anything that is `Into<StreamDecision>`: a `Plan`, a `Decision`, a
/// `StreamDecision`, or an `Option` of one, where `None` is `StreamDecision::Proceed`. A panic is a failure of the policy.
///
/// ```ignore
/// #[wayside::stream_policy]
/// fn plan() -> Option<Plan> {
///     let region = settings::get(&visitor::continent()?)?;
///     Some(Plan::new().prefer_region(region))
/// }
/// ```
#[proc_macro_attribute]
pub fn stream_policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    exported(arguments, item, &STREAM_POLICY)
}

/// How a function becomes a policy.
struct Kind {
    no_arguments: &'static str,
    no_function: &'static str,
    /// The function of the contract.
    export: &'static str,
    /// Its decision, in the SDK.
    decision: &'static str,
    /// The SDK's module for it, and the macro there that exports it.
    module: &'static str,
    macro_name: &'static str,
    bindings: &'static str,
}

const POLICY: Kind = Kind {
    no_arguments: "`#[wayside::policy]` takes no arguments",
    no_function: "`#[wayside::policy]` belongs on a function: `fn decide() -> Decision { … }`",
    export: "decide",
    decision: "Decision",
    module: "__export",
    macro_name: "export",
    bindings: "bindings",
};

const STREAM_POLICY: Kind = Kind {
    no_arguments: "`#[wayside::stream_policy]` takes no arguments",
    no_function: "`#[wayside::stream_policy]` belongs on a function: `fn plan() -> Plan { … }`",
    export: "plan",
    decision: "StreamDecision",
    module: "__export_stream",
    macro_name: "export_stream",
    bindings: "bindings::stream",
};

fn exported(arguments: TokenStream, item: TokenStream, kind: &Kind) -> TokenStream {
    if let Some(first) = arguments.into_iter().next() {
        return refusal(kind.no_arguments, first.span());
    }
    match function_name(item.clone(), kind) {
        Ok(name) => item.into_iter().chain(export(&name, kind)).collect(),
        Err((message, span)) => refusal(message, span),
    }
}

/// The name of the function, or why the item is none that can be a policy.
fn function_name(item: TokenStream, kind: &Kind) -> Result<String, (&'static str, Span)> {
    let mut tokens = item.into_iter();
    let expected = kind.no_function;
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
fn export(name: &str, kind: &Kind) -> TokenStream {
    let Kind {
        export,
        decision,
        module,
        macro_name,
        bindings,
        ..
    } = kind;
    let source = format!(
        "const _: () = {{
            struct Policy;
            impl ::wayside::{module}::Guest for Policy {{
                fn {export}() -> ::wayside::{module}::Decision {{
                    ::wayside::{module}::run(|| ::wayside::{decision}::from({name}()))
                }}
            }}
            ::wayside::{module}::{macro_name}!(Policy with_types_in ::wayside::{bindings});
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
