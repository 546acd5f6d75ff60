//! What travels between a pony-build client and a pony-build server, and nothing else.
//!
//! Pure: no HTTP, no files, no clock. Both [`Call`] and its answers go from bytes to types and back;
//! the XML-RPC codec itself is one module behind them.

pub mod answer;
pub mod bag;
pub mod call;
pub mod dialect;
mod message;
mod stored;
pub mod text;
pub mod value;
mod xml;

pub use answer::{ShouldBuild, Tagsets};
pub use bag::{BagError, ClientInfo, Receipt, Slot, StepResult, StoredResult, Tagset, visible_tags};
pub use call::{Answer, Call, Fault, decode_answer, encode_answer};
pub use dialect::{Dialect, Submitted};
pub use message::ErrorMessage;
pub use stored::{decode_value, encode_value};
pub use value::{Struct, Value};
pub use xml::WireError;
