//! What client and server share: what travels between a pony-build client and a pony-build server, and how both programs
//! report errors.
//!
//! Pure: no HTTP, no files, no clock. A [`Call`] and its answers go from bytes to types and back.

mod answer;
mod bag;
mod call;
pub mod dialect;
mod error;
mod fault;
mod message;
mod slot;
mod stored;
pub mod text;
mod value;
mod xml;

pub use answer::{ShouldBuild, Tagsets};
pub use bag::{BagError, ClientInfo, Receipt, StepResult, StoredResult};
pub use call::Call;
pub use dialect::{Dialect, Submitted};
pub use error::WireError;
pub use fault::{Answer, Fault};
pub use message::ErrorMessage;
pub use slot::{Slot, Tagset, visible_tags};
pub use stored::{decode_value, encode_value};
pub use value::{Struct, Value};
pub use xml::{decode_answer, encode_answer};
