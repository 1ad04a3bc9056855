//! Files and directories as plain data: read from a directory, or written into one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// With its content.
    File(Vec<u8>),
    /// What is in it has names of its own in the tree.
    Directory,
}

/// Everything below a directory, by its name from there.
pub type Tree = BTreeMap<String, Node>;

/// Inodes by name, that of the directory itself under "".
pub type Inodes = BTreeMap<String, u64>;

/// Reads a directory.
pub fn read(directory: &Path) -> (Tree, Inodes) {
    let (mut tree, mut inodes) = (Tree::new(), Inodes::new());
    inodes.insert(String::new(), inode(directory));
    visit(directory, "", &mut tree, &mut inodes);
    (tree, inodes)
}

fn visit(directory: &Path, prefix: &str, tree: &mut Tree, inodes: &mut Inodes) {
    for entry in fs::read_dir(directory).expect("a directory that can be read") {
        let entry = entry.expect("an entry of a directory");
        let (path, kind) = (entry.path(), entry.file_type().expect("a known kind of file"));
        if !kind.is_file() && !kind.is_dir() {
            continue; // A socket holds nothing.
        }
        let name = path.file_name().expect("a name").to_str().expect("names in UTF-8");
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        inodes.insert(name.clone(), inode(&path));
        if kind.is_dir() {
            visit(&path, &name, tree, inodes);
            tree.insert(name, Node::Directory);
        } else {
            tree.insert(name, Node::File(fs::read(&path).expect("a file that can be read")));
        }
    }
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("what a directory names").ino()
}

/// Writes a tree into an empty directory.
pub fn write(tree: &Tree, directory: &Path) {
    // A directory comes before what is in it.
    for (name, node) in tree {
        let path = directory.join(name);
        match node {
            Node::Directory => fs::create_dir(path).expect("a directory is made"),
            Node::File(content) => fs::write(path, content).expect("a file is written"),
        }
    }
}
