//! Why something is refused, and where.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// What does not compile.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It contradicts itself: the tokens that are wrong, and the sentence that the compiler shows there.
    Contradiction { at: TokenStream, sentence: String },
    /// It cannot be read.
    Unreadable(syn::Error),
}

impl Refused {
    pub(crate) fn new(at: &impl ToTokens, sentence: impl Into<String>) -> Self {
        Self::Contradiction { at: at.to_token_stream(), sentence: sentence.into() }
    }

    /// The error that the compiler shows at those tokens.
    pub(crate) fn into_error(self) -> TokenStream {
        match self {
            Self::Contradiction { at, sentence } => {
                syn::Error::new_spanned(at, sentence).into_compile_error()
            }
            Self::Unreadable(error) => error.into_compile_error(),
        }
    }
}

impl From<syn::Error> for Refused {
    fn from(error: syn::Error) -> Self {
        Self::Unreadable(error)
    }
}
