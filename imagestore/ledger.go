package imagestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

const (
	ledgerFile = "ledger.json"
	maxLedger  = 1 << 16
)

// A ledger says of an image's revisions what their folders cannot: it is the file .revisions/NAME/ledger.json, which is
// replaced in one step. Without the file it is zero.
type ledger struct {
	Given   int    `json:"given"`             // the highest number that was ever given to a revision
	Removed int    `json:"removed,omitempty"` // revisions up to this one are removed, whatever is still on the disk
	Trash   string `json:"trash,omitempty"`   // to where in the trash; empty: for good
}

// parseLedger reads a ledger and refuses one that contradicts itself.
func parseLedger(data []byte) (ledger, error) {
	var l ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return ledger{}, fmt.Errorf("ledger: %w", err)
	}
	switch {
	case l.Removed < 0 || l.Given < l.Removed:
		return ledger{}, fmt.Errorf("ledger: revisions up to %d removed, up to %d given", l.Removed, l.Given)
	case l.Trash != "" && !isTrashID(l.Trash):
		return ledger{}, fmt.Errorf("ledger: %q is no place in the trash", l.Trash)
	}
	return l, nil
}

// readLedger returns the ledger of an image.
func (r *Repository) readLedger(name string) (ledger, error) {
	data, err := r.folder.readFile(path.Join(revisionsDir, name, ledgerFile), maxLedger)
	if errors.Is(err, fs.ErrNotExist) {
		return ledger{}, nil
	}
	if err != nil {
		return ledger{}, err
	}
	return parseLedger(data)
}

// writeLedger brings the ledger of an image to stable storage.
func (r *Repository) writeLedger(name string, l ledger) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return r.folder.replaceFile(path.Join(revisionsDir, name, ledgerFile), append(data, '\n'), path.Join(stagingDir, name+".ledger"))
}
