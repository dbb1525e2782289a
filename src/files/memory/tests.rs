//! Files in memory beside those of a disk.

use super::*;

/// What a test does, with either kind of files, in an empty directory.
macro_rules! on {
    ($fs:ident, $root:expr) => {{
        use super::super::$fs as fs;
        let root: &Path = $root;
        let path = |name: &str| root.join(name);
        let kind = |error: Error| error.kind();
        let mut seen = vec![];

        // Directories hold what is made in them, and nothing is made where there is none.
        assert_eq!(fs::create_dir(&path("a/b")).map_err(kind), Err(ErrorKind::NotFound));
        assert_eq!(fs::write(path("a/file"), "x").map_err(kind), Err(ErrorKind::NotFound));
        fs::create_dir_all(&path("a/b")).unwrap();
        fs::create_dir_all(&path("a/b")).unwrap();
        assert_eq!(fs::create_dir(&path("a")).map_err(kind), Err(ErrorKind::AlreadyExists));
        fs::write(path("a/b/../file"), "one").unwrap();
        fs::write(path("ab"), "beside").unwrap();
        assert!(fs::is_file(path("./a/file")) && !fs::is_dir(path("a/file")) && fs::exists(path("a/file")));
        assert!(fs::is_dir(path("a/b")) && !fs::is_file(path("a/b")) && !fs::exists(path("b")));
        assert_eq!(fs::canonical(&path("a/b/../file")).unwrap(), fs::canonical(&path("a/file")).unwrap());
        assert_eq!(fs::read(path("b")).map_err(kind), Err(ErrorKind::NotFound));
        assert_eq!(fs::read(path("a")).map_err(kind), Err(ErrorKind::IsADirectory));
        assert_eq!(fs::write(path("a"), "x").map_err(kind), Err(ErrorKind::IsADirectory));
        assert_eq!(fs::create_dir(&path("ab/c")).map_err(kind), Err(ErrorKind::NotADirectory));
        assert_eq!(fs::entries(&path("ab")).map_err(kind), Err(ErrorKind::NotADirectory));
        assert!(fs::read_link(&path("ab")).is_err());

        // Files are read and written from a place on.
        let mut file = fs::File::create(&path("a/file")).unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(8)).unwrap();
        file.write_all(b"abc").unwrap();
        file.seek(SeekFrom::Current(1)).unwrap();
        file.write_all(b"z").unwrap();
        file.sync_all().unwrap();
        fs::append(&path("a/file")).unwrap().write_all(b"!").unwrap();
        assert_eq!(fs::read(path("a/file")).unwrap(), b"01234567abc\0z!");
        let mut file = fs::File::open(&path("a/file")).unwrap();
        let mut text = [0; 3];
        assert_eq!(file.seek(SeekFrom::End(-3)).unwrap(), 11);
        file.read_exact(&mut text).unwrap();
        assert_eq!((&text, file.read(&mut [0]).unwrap()), (b"\0z!", 0));
        assert_eq!(fs::File::create_new(&path("ab")).map(drop).map_err(kind), Err(ErrorKind::AlreadyExists));
        assert_eq!(&*fs::Map::open(&path("ab")).unwrap(), b"beside");
        fs::Map::open(&path("ab")).unwrap().release(0..1);

        // What is moved takes everything in it along, and replaces a file.
        fs::write(path("a/b/c"), "deep").unwrap();
        fs::rename(&path("a"), &path("moved")).unwrap();
        assert!(!fs::exists(path("a")) && !fs::exists(path("a/b/c")) && fs::exists(path("ab")));
        assert_eq!(fs::read(path("moved/b/c")).unwrap(), b"deep");
        fs::rename(&path("moved/b/c"), &path("ab")).unwrap();
        assert_eq!(fs::read(path("ab")).unwrap(), b"deep");
        assert!(fs::rename(&path("ab"), &path("moved")).is_err());
        assert_eq!(fs::rename(&path("moved"), &path("no/where")).map_err(kind), Err(ErrorKind::NotFound));
        seen.extend(fs::entries(root).unwrap());

        // What is staged is there when it is complete.
        let mut staged = fs::Staged::beside(&path("new")).unwrap();
        staged.write_all(b"whole").unwrap();
        staged.flush().unwrap();
        staged.sync().unwrap();
        assert!(!fs::exists(path("new")));
        staged.persist(&path("new")).unwrap();
        assert_eq!(fs::read(path("new")).unwrap(), b"whole");
        assert!(fs::Staged::beside(&path("no/where")).is_err());
        let temporary = fs::temporary_directory(root).unwrap();
        fs::write(temporary.path().join("file"), "x").unwrap();
        let place = temporary.path().to_owned();
        drop(temporary);
        assert!(!fs::exists(&place));

        // What is removed is gone.
        fs::remove_file(&path("new")).unwrap();
        assert!(fs::remove_file(&path("moved")).is_err());
        fs::remove_dir_all(&path("moved")).unwrap();
        assert!(!fs::exists(path("moved/file")) && fs::exists(path("ab")));
        assert_eq!(fs::remove_file(&path("moved")).map_err(kind), Err(ErrorKind::NotFound));
        seen.extend(fs::entries(root).unwrap());
        seen.sort();
        seen.iter().map(|path| path.strip_prefix(root).unwrap().to_owned()).collect::<Vec<_>>()
    }};
}

#[test]
fn files_in_memory_are_as_on_disk() {
    let root = Path::new("/as-on-disk");
    create_dir(root).unwrap();
    let expected: Vec<PathBuf> = ["ab", "ab", "moved"].map(PathBuf::from).to_vec();
    assert_eq!(on!(memory, root), expected);
    #[cfg(unix)]
    {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(on!(disk, root.path()), expected);
    }
}

#[test]
fn relative_paths_begin_at_the_root() {
    write("relative", "x").unwrap();
    assert_eq!(read("/relative").unwrap(), b"x");
    assert_eq!(canonical(Path::new("./relative")).unwrap(), Path::new("/relative"));
    assert!(is_dir("") && is_dir("/") && is_dir("."));
    assert!(entries(Path::new(".")).unwrap().contains(&"./relative".into()));
    assert!(Staged::beside(Path::new("new")).is_ok());
}

#[test]
fn what_is_mapped_stays_as_it_is() {
    write("mapped", "before").unwrap();
    let map = Map::open(Path::new("mapped")).unwrap();
    append(Path::new("mapped")).unwrap().write_all(b" and after").unwrap();
    assert_eq!((&*map, &*read("mapped").unwrap()), (&b"before"[..], &b"before and after"[..]));
}
