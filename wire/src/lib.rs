//! Protobuf without a schema, as <https://protobuf.dev/programming-guides/encoding/> has it: [`Message`] reads borrowed
//! bytes, [`Writer`] writes.
//!
//! ```
//! use wire::{Message, Writer};
//! let mut writer = Writer::default();
//! writer.varint(1, 300);
//! writer.message(2, |inner| inner.bytes(1, b"hi"));
//! let bytes = writer.finish();
//! let mut message = Message::new(&bytes);
//! assert_eq!(message.next()?.unwrap().1.varint("a number")?, 300);
//! let mut inner = message.next()?.unwrap().1.message("a message")?;
//! assert_eq!(inner.next()?.unwrap().1.text("a text")?, "hi");
//! # Ok::<(), String>(())
//! ```

mod read;
mod write;

pub use read::{Error, Message, Wire, whole_varint, zigzag};
pub use write::{Writer, put_varint, to_zigzag};
