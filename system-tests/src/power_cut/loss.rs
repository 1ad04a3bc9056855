//! Which part of what was not certain is there after a power cut. Pure, and the same for the same random numbers.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::disk::{Change, Disk, Id, Names, Naming, ROOT, Settling, Stored};
use super::tree::{Node, Tree};

/// What a disk writes as a whole.
const PIECE_BYTES: usize = 512;

/// What is there of what was not certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Everything, as if the process had been killed.
    Everything,
    /// Each piece with this probability.
    Pieces(f64),
    /// What was written over what was there; what was appended is lost.
    Overwritten,
    /// What was appended; what was written over what was there is lost.
    Appended,
}

/// All kinds, often enough to be drawn from.
pub const KINDS: [Kept; 7] = [
    Kept::Nothing,
    Kept::Everything,
    Kept::Pieces(0.5),
    Kept::Pieces(0.9),
    Kept::Pieces(0.1),
    Kept::Overwritten,
    Kept::Appended,
];

impl Disk {
    /// The disk as it may be after the power was cut now.
    pub fn cut(&self, kept: Kept, random: &mut StdRng) -> Tree {
        let mut tree = Tree::new();
        self.cut_directory(ROOT, "", kept, random, &mut tree);
        tree
    }

    fn cut_directory(&self, id: Id, prefix: &str, kept: Kept, random: &mut StdRng, tree: &mut Tree) {
        let Stored::Directory { names, .. } = &self.stored[id] else { panic!("a file has no names") };
        for (name, id) in kept.names(names, random) {
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            match &self.stored[id] {
                Stored::File(file) => {
                    tree.insert(name, Node::File(kept.content(file, random)));
                }
                Stored::Directory { .. } => {
                    self.cut_directory(id, &name, kept, random, tree);
                    tree.insert(name, Node::Directory);
                }
            }
        }
    }
}

impl Kept {
    fn names(self, names: &Settling<Names, Naming>, random: &mut StdRng) -> Names {
        let all = names.pending.len();
        let count = match self {
            Self::Nothing => 0,
            Self::Everything => all,
            _ => random.random_range(0..=all),
        };
        let mut after = names.certain.clone();
        names.pending[..count].iter().for_each(|(_, naming)| naming.apply(&mut after));
        after
    }

    fn content(self, file: &Settling<Vec<u8>, Change>, random: &mut StdRng) -> Vec<u8> {
        let certain_bytes = file.certain.len();
        let mut after = file.certain.clone();
        for (_, change) in &file.pending {
            match change {
                Change::Write { offset, data } => {
                    for (offset, piece) in pieces(*offset as usize, data) {
                        self.write_piece(offset, piece, certain_bytes, &mut after, random);
                    }
                }
                Change::Truncate(length) | Change::Extend(length) => {
                    if self.keeps(*length as usize > certain_bytes, random) {
                        change.apply(&mut after);
                    }
                }
            }
        }
        after
    }

    fn write_piece(
        self,
        offset: usize,
        piece: &[u8],
        certain_bytes: usize,
        after: &mut Vec<u8>,
        random: &mut StdRng,
    ) {
        let end = offset + piece.len();
        if self.keeps(end > certain_bytes, random) {
            Change::Write { offset: offset as u64, data: piece.to_vec() }.apply(after);
        } else if matches!(self, Self::Pieces(_)) && random.random_bool(0.5) {
            // The file's length may be there, and the content not.
            Change::Extend(end as u64).apply(after);
        }
    }

    fn keeps(self, appended: bool, random: &mut StdRng) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Pieces(probability) => random.random_bool(probability),
            Self::Overwritten => !appended,
            Self::Appended => appended,
        }
    }
}

/// What was written, cut where a disk's pieces begin.
fn pieces(offset: usize, data: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = offset;
    let mut rest = data;
    std::iter::from_fn(move || {
        let bytes = (PIECE_BYTES - at % PIECE_BYTES).min(rest.len());
        let (piece, behind) = rest.split_at(bytes);
        let begin = at;
        (at, rest) = (at + bytes, behind);
        (!piece.is_empty()).then_some((begin, piece))
    })
}
