//! Tests overwriting, modes and links, in a directory of the test.

use std::io::Write as _;

use super::*;

fn secret(path: PathBuf, content: &str) -> NewFile {
    NewFile::secret(path, Zeroizing::new(content.as_bytes().to_vec()))
}

#[test]
fn existing_file_is_kept_without_force_and_nothing_else_is_written() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("b"), "old").unwrap();
    let files = [secret(dir.path().join("a"), "new"), secret(dir.path().join("b"), "new")];

    let problem = write_all(&files, Overwrite::Refuse).unwrap_err();

    assert_eq!(problem.code(), ProblemCode::Exists);
    assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn failure_after_the_first_file_leaves_everything_as_it_was() {
    for (overwrite, before) in
        [(Overwrite::Refuse, None), (Overwrite::Replace, None), (Overwrite::Replace, Some("precious"))]
    {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        if let Some(before) = before {
            fs::write(&a, before).unwrap();
        }
        let files = [secret(a.clone(), "new"), secret(b.clone(), "new"), secret(c.clone(), "new")];
        let staged = Staged::new(&files, overwrite).unwrap();
        // A directory appears between the check and the rename, and cannot be replaced.
        fs::create_dir(&c).unwrap();

        staged.publish().unwrap_err();

        assert_eq!(fs::read_to_string(&a).ok().as_deref(), before, "{overwrite:?}");
        assert!(!b.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + usize::from(before.is_some()));
    }
}

#[test]
fn two_contents_for_one_file_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let files = [secret(dir.path().join("a"), "key"), secret(dir.path().join("./a"), "set")];
    let problem = write_all(&files, Overwrite::Replace).unwrap_err();
    assert_eq!(problem.code(), ProblemCode::Usage);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn force_replaces_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "a longer old content").unwrap();
    write_all(&[secret(path.clone(), "new")], Overwrite::Replace).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
}

#[test]
fn missing_directory_is_reported_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let problem = write_all(&[secret(dir.path().join("no/a"), "x")], Overwrite::Refuse).unwrap_err();
    assert!(problem.remedy().unwrap().contains("/no`"), "{problem}");
}

#[cfg(unix)]
#[test]
fn secret_file_is_for_its_owner_even_when_it_replaces_an_open_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    write_all(&[secret(path.clone(), "new")], Overwrite::Replace).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn symbolic_link_is_replaced_and_its_target_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();

    assert!(write_all(&[secret(link.clone(), "new")], Overwrite::Refuse).is_err());
    write_all(&[secret(link.clone(), "new")], Overwrite::Replace).unwrap();

    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[cfg(unix)]
#[test]
fn dangling_link_counts_as_an_existing_file() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
    assert_eq!(check_free(&link, Overwrite::Refuse).unwrap_err().code(), ProblemCode::Exists);
}

#[test]
fn file_that_its_author_has_not_finished_has_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("backup.jsonl");
    let staged = StagedFile::new(&path).unwrap();
    staged.file().write_all(b"line 1\n").unwrap();
    assert!(!path.exists());
    drop(staged);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let staged = StagedFile::new(&path).unwrap();
    staged.file().write_all(b"whole\n").unwrap();
    staged.publish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole\n");
    assert!(StagedFile::new(&path).is_err());
}
