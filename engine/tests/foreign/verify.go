// Verifies the tree of one log with Go's own implementation of signed notes and Merkle trees, which
// has no line in common with Auditstream's:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run verify.go FOLDER VKEY
//
// FOLDER is that of the log, {prefix}evidence/account=…/destination=…/{log}.{n}, and VKEY the log's
// own. Checks the newest checkpoint, every copy of an older one, every tile that the tree needs, and
// every statement. Go's tiles have other paths than those of C2SP tlog-tiles, so the program reads
// the files itself.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// folder reads the tiles of a log.
type folder string

func (f folder) Height() int { return 8 }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(f.path(strconv.Itoa(tile.L), tile.N, tile.W))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// path returns the file of a tile, or of a bundle of entries, with its width.
func (f folder) path(level string, number int64, width int) string {
	name := fmt.Sprintf("%03d", number%1000)
	for number /= 1000; number > 0; number /= 1000 {
		name = fmt.Sprintf("x%03d/%s", number%1000, name)
	}
	if width < 256 {
		name += ".p/" + strconv.Itoa(width)
	}
	return filepath.Join(string(f), "tile", level, name)
}

// checkpoint verifies the signature of a checkpoint and returns its tree.
func checkpoint(file string, verifier note.Verifier) (tlog.Tree, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%s: %w", file, err)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("%s: not a checkpoint of %s", file, verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	tree := tlog.Tree{N: size}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || copy(tree.Hash[:], root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("%s: the root is not a hash", file)
	}
	return tree, nil
}

// statements compares every statement with its hash in the tree.
func (f folder) statements(tree tlog.Tree, hashes tlog.HashReader) error {
	for number := int64(0); number < tree.N; {
		width := 256
		if rest := tree.N - number; rest < 256 {
			width = int(rest)
		}
		bundle, err := os.ReadFile(f.path("entries", number/256, width))
		if err != nil {
			return err
		}
		for end := number + int64(width); number < end; number++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("statement %d is missing", number)
			}
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			signed, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, number)})
			if err != nil {
				return err
			}
			if signed[0] != tlog.RecordHash(bundle[2:length]) {
				return fmt.Errorf("statement %d is not the signed one", number)
			}
			bundle = bundle[length:]
		}
		if len(bundle) > 0 {
			return errors.New("there are more statements than signed ones")
		}
	}
	return nil
}

func verify(log folder, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	newest, err := checkpoint(filepath.Join(string(log), "checkpoint"), verifier)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(newest, log)
	copies, err := filepath.Glob(filepath.Join(string(log), "checkpoints", "*", "*", "*"))
	if err != nil {
		return err
	}
	for _, file := range copies {
		older, err := checkpoint(file, verifier)
		if err != nil {
			return err
		}
		root, err := tlog.TreeHash(older.N, hashes)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if root != older.Hash {
			return fmt.Errorf("%s: the newest tree does not continue this one", file)
		}
	}
	if err := log.statements(newest, hashes); err != nil {
		return err
	}
	fmt.Printf("proven: %d statements and %d checkpoints of %s\n", newest.N, len(copies), verifier.Name())
	return nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verify FOLDER VKEY")
		os.Exit(2)
	}
	if err := verify(folder(os.Args[1]), strings.TrimSpace(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "NOT PROVEN:", err)
		os.Exit(1)
	}
}
