use super::*;

#[test]
fn chunks_for_a_pipe_are_whole_lines_and_none_is_left_out() {
    let lines = b"aaaa\nbb\n\ncccccccccccccccccccc\nd\neee";
    for limit in 1..40 {
        let chunks: Vec<_> = whole_lines(lines, limit).collect();
        assert_eq!(chunks.concat(), lines, "{limit}");
        for chunk in &chunks {
            let is_line = chunk.iter().filter(|byte| **byte == b'\n').count() <= 1;
            assert!(chunk.len() <= limit || is_line, "{limit}: {chunk:?}");
            assert!(chunk.ends_with(b"\n") || lines.ends_with(chunk), "{limit}: {chunk:?}");
        }
    }
    assert_eq!(whole_lines(b"", 1).count(), 0);
}
