package imagestore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"
)

const (
	trashDir   = ".trash"
	trashFile  = "trashed.json"
	trashCheck = time.Hour // between two looks for what has expired
)

// A Trashed image was removed and can be brought back until it expires.
type Trashed struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Removed   time.Time `json:"removed"`
	Expires   time.Time `json:"expires"`
	Revisions []int     `json:"revisions"` // ascending
	Bytes     int64     `json:"bytes"`     // that discarding it sets free
}

// A trashRecord is the file .trash/ID/trashed.json.
type trashRecord struct {
	Name    string    `json:"name"`
	Removed time.Time `json:"removed"`
}

// parseTrashRecord reads what makeTrash wrote.
func parseTrashRecord(data []byte) (trashRecord, error) {
	var t trashRecord
	if err := json.Unmarshal(data, &t); err != nil {
		return trashRecord{}, fmt.Errorf("record of the trash: %w", err)
	}
	if err := CheckName(t.Name); err != nil {
		return trashRecord{}, fmt.Errorf("record of the trash: %w", err)
	}
	return t, nil
}

var trashID = regexp.MustCompile(`^[A-Z2-7]{26,64}$`)

// isTrashID tells whether id is one that makeTrash may have made, and so no path out of the trash.
func isTrashID(id string) bool { return trashID.MatchString(id) }

// makeTrash makes an empty place in the trash for an image.
func (r *Repository) makeTrash(name string) (id string, err error) {
	id = rand.Text()
	data, err := json.Marshal(trashRecord{Name: name, Removed: r.now().UTC()})
	if err != nil {
		return "", err
	}
	dir := path.Join(trashDir, id)
	if err := r.folder.mkdir(dir); err != nil {
		return "", err
	}
	err = r.folder.writeFile(path.Join(dir, trashFile), append(data, '\n'))
	if err == nil {
		err = r.folder.syncDir(dir)
	}
	if err == nil {
		err = r.folder.syncDir(trashDir)
	}
	if err != nil {
		return "", errors.Join(err, r.folder.removeAll(dir))
	}
	return id, nil
}

// noteTrash learns what is in one place of the trash. A place without revisions is left over from a crash and removed.
func (r *Repository) noteTrash(id string) error {
	dir := path.Join(trashDir, id)
	data, err := r.folder.readFile(path.Join(dir, trashFile), maxRecord)
	if err != nil {
		return err
	}
	record, err := parseTrashRecord(data)
	if err != nil {
		return err
	}
	t := Trashed{ID: id, Name: record.Name, Removed: record.Removed}
	if t.Revisions, _, err = r.numbersIn(dir); err != nil {
		return err
	}
	if len(t.Revisions) == 0 {
		return r.folder.removeAll(dir)
	}
	for _, n := range t.Revisions {
		bytes, err := r.folder.size(path.Join(dir, fmt.Sprint(n)))
		if err != nil {
			return err
		}
		t.Bytes += bytes
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trash[id] = t
	return nil
}

// recoverTrash learns what is in the trash.
func (r *Repository) recoverTrash() error {
	entries, err := r.folder.list(trashDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isTrashID(e.Name()) {
			continue // nothing of ours
		}
		if err := r.noteTrash(e.Name()); err != nil {
			r.log.Warn("an image in the trash cannot be read and is left where it is", "id", e.Name(), "err", err)
		}
	}
	return nil
}

// Trash returns the removed images, the latest first.
func (r *Repository) Trash() []Trashed {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Trashed, 0, len(r.trash))
	for _, t := range r.trash {
		t.Revisions = slices.Clone(t.Revisions)
		t.Expires = t.Removed.Add(r.opt.Trash)
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Trashed) int {
		return cmp.Or(b.Removed.Compare(a.Removed), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// trashed returns one image of the trash.
func (r *Repository) trashed(id string) (Trashed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.trash[id]
	if !ok {
		return Trashed{}, fmt.Errorf("%w in the trash: %q: it has been brought back, or discarded, or has expired", ErrNotFound, id)
	}
	return t, nil
}

// Undelete brings a removed image back with all its revisions. It answers ErrExists when its name has been taken meanwhile.
func (r *Repository) Undelete(id string) error {
	r.commit.Lock()
	t, err := r.undelete(id)
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.log.Info("image brought back from the trash", "image", t.Name, "id", id)
	r.tell(t.Name)
	return nil
}

func (r *Repository) undelete(id string) (Trashed, error) {
	t, err := r.trashed(id)
	if err != nil {
		return t, err
	}
	if _, err := r.Image(t.Name); err == nil {
		return t, fmt.Errorf("%w: %s was captured or imported again: remove that one first", ErrExists, t.Name)
	}
	foreign, err := r.foreign(t.Name)
	if err == nil && foreign {
		err = errForeign
	}
	if err == nil {
		err = r.bringBack(t)
	}
	if err != nil {
		return t, fmt.Errorf("image %s stays in the trash: %w", t.Name, r.explain(err))
	}
	return t, nil
}

// bringBack moves the revisions back. They are removed until the ledger says otherwise: until then a crash puts them
// into the trash again.
func (r *Repository) bringBack(t Trashed) error {
	home, dir := path.Join(revisionsDir, t.Name), path.Join(trashDir, t.ID)
	given := max(r.lastGiven(t.Name), t.Revisions[len(t.Revisions)-1])
	if err := r.folder.mkdir(home); err != nil {
		return err
	}
	if err := r.folder.syncDir(revisionsDir); err != nil {
		return err
	}
	if err := r.writeLedger(t.Name, ledger{Given: given, Removed: given, Trash: t.ID}); err != nil {
		return err
	}
	for _, n := range t.Revisions {
		if err := r.folder.rename(path.Join(dir, fmt.Sprint(n)), revisionPath(t.Name, n)); err != nil {
			return errors.Join(err, r.clean(t.Name))
		}
	}
	if err := r.folder.syncDir(home); err != nil {
		return errors.Join(err, r.clean(t.Name))
	}
	if err := r.writeLedger(t.Name, ledger{Given: given}); err != nil {
		return errors.Join(err, r.clean(t.Name))
	}
	r.mu.Lock()
	delete(r.trash, t.ID)
	r.mu.Unlock()
	if err := r.folder.removeAll(dir); err != nil {
		r.log.Warn("an empty folder is left in the trash", "id", t.ID, "err", err)
	}
	return r.recoverImage(t.Name)
}

// Discard removes an image from the trash for good.
func (r *Repository) Discard(id string) error {
	r.commit.Lock()
	t, err := r.trashed(id)
	var scratch string
	if err == nil {
		if scratch, err = r.detach(path.Join(trashDir, id)); err != nil {
			err = fmt.Errorf("image %s is not discarded: %w", t.Name, err)
		}
	}
	if err == nil {
		r.mu.Lock()
		delete(r.trash, id)
		r.mu.Unlock()
	}
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.sweep([]string{scratch})
	r.log.Info("image discarded from the trash", "image", t.Name, "id", id, "bytes", t.Bytes)
	return nil
}

// expire discards what has been in the trash for long enough.
func (r *Repository) expire() {
	now := r.now()
	for _, t := range r.Trash() {
		if t.Expires.After(now) {
			continue
		}
		if err := r.Discard(t.ID); err != nil {
			r.log.Warn("an image in the trash has expired and is left", "image", t.Name, "id", t.ID, "err", err)
		}
	}
}

// tidy removes now and then what has expired, and old revisions that were in use when they should have gone.
func (r *Repository) tidy(ctx context.Context) error {
	ticker := time.NewTicker(trashCheck)
	defer ticker.Stop()
	for {
		r.expire()
		images, err := r.Images()
		if err != nil {
			return err
		}
		for _, img := range images {
			r.commit.Lock()
			rubbish := r.prune(img.Name)
			r.commit.Unlock()
			r.sweep(rubbish)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// trashBytes is the space that emptying the trash would set free.
func (r *Repository) trashBytes() (n int64) {
	for _, t := range r.Trash() {
		n += t.Bytes
	}
	return n
}
