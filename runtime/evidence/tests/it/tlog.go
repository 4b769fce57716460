// Reads an exported log with the code of Go's checksum database: the checkpoint as a signed note, every tile, every entry,
// and one proof.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type tiles struct{ folder string }

func (t tiles) Height() int { return 8 }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		// C2SP tlog-tiles leaves out the height, which is always 8.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// head reads size and root of a signed checkpoint.
func head(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

func main() {
	verifier, err := note.NewVerifier(os.Args[1])
	must(err)
	folder := os.Args[2]
	checkpoint, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	must(err)
	tree := head(checkpoint, verifier)

	// The reader checks each tile against the root.
	reader := tlog.TileHashReader(tree, tiles{folder})
	var number int64
	for bundle := int64(0); bundle*256 < tree.N; bundle++ {
		name := fmt.Sprintf("tile/entries/%03d", bundle)
		if width := tree.N - bundle*256; width < 256 {
			name += fmt.Sprintf(".p/%d", width)
		}
		data, err := os.ReadFile(filepath.Join(folder, name))
		must(err)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+length]
			data = data[2+length:]
			hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, number)})
			must(err)
			if hashes[0] != tlog.RecordHash(entry) {
				must(fmt.Errorf("record %d is not its leaf", number))
			}
			number++
		}
	}
	if number != tree.N {
		must(fmt.Errorf("%d entries of %d", number, tree.N))
	}

	proof, err := os.ReadFile(os.Args[3])
	must(err)
	record, err := os.ReadFile(os.Args[4])
	must(err)
	parts := bytes.SplitN(proof, []byte("\n\n"), 2)
	lines := strings.Split(string(parts[0]), "\n")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		must(err)
		hashes = append(hashes, hash)
	}
	proven := head(parts[1], verifier)
	must(tlog.CheckRecord(hashes, proven.N, proven.Hash, index, tlog.RecordHash(record)))
	fmt.Printf("%d records, record %d proven\n", tree.N, index)
}
