package imagestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

const (
	healthFile = "health.json"
	maxHealth  = 64 << 10
)

// A health is what reading a revision again has found: the file .revisions/NAME/N/health.json. Without the file the revision
// was last read when it was published.
type health struct {
	Verified time.Time `json:"verified,omitzero"` // when it was last found good
	Found    time.Time `json:"found,omitzero"`    // when it was last found damaged
	Problem  string    `json:"problem,omitempty"` // why it is damaged, and what to do
	Layout   string    `json:"layout,omitempty"`  // why its disk layout cannot be used; the image can
}

func healthPath(k key) string { return path.Join(revisionPath(k.name, k.revision), healthFile) }

// loadHealth reads what is known of a revision. A file that cannot be read means that it is verified again soon.
func (r *Repository) loadHealth(name string, revision int) health {
	data, err := r.folder.readFile(healthPath(key{name, revision}), maxHealth)
	var h health
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("it is not known when a revision was verified", "image", name, "revision", revision, "err", err)
	}
	return h
}

// setHealth notes what was found of a revision, on the disk and here. After an error a revision is as bad as it was: that it is good is
// believed only when it is noted durably, while one that is damaged is not handed out even if that cannot be noted.
func (r *Repository) setHealth(k key, h health) error {
	r.commit.Lock() // the revision's folder stays where it is
	defer r.commit.Unlock()
	r.mu.Lock()
	_, err := r.revision(k.name, k.revision)
	if err == nil && h.Problem != "" {
		r.health[k] = h
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := r.folder.replaceFile(healthPath(k), append(data, '\n'), path.Join(stagingDir, k.name+".health")); err != nil {
		return fmt.Errorf("noting how revision %d of image %s was found: %w", k.revision, k.name, r.explain(err))
	}
	r.mu.Lock()
	r.health[k] = h
	r.mu.Unlock()
	return nil
}

// usable returns a revision, or an error wrapping ErrDamaged that says why its file may not be used.
func (r *Repository) usable(name string, revision int) (Image, error) {
	r.mu.Lock()
	img, err := r.revision(name, revision)
	problem := r.health[key{name, revision}].Problem
	r.mu.Unlock()
	if err != nil {
		return Image{}, err
	}
	if problem != "" {
		return Image{}, fmt.Errorf("%w: revision %d of %s: %s", ErrDamaged, revision, name, problem)
	}
	file, err := r.folder.root.Lstat(revisionFile(name, revision, imageSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, fmt.Errorf("%w: revision %d of %s: %w", ErrDamaged, revision, name, err)
	}
	if err != nil {
		return Image{}, fmt.Errorf("revision %d of %s: %w", revision, name, err)
	}
	if img.changed(file) {
		return Image{}, fmt.Errorf("%w: revision %d of %s: %s", ErrDamaged, revision, name, changedByHand)
	}
	return img, nil
}

const changedByHand = "its file was changed in the repository's folder; it is read again when it has not changed for a while"

// changed tells whether a file is not the one that was published. Records of older versions do not say when it was modified.
func (i Image) changed(file fs.FileInfo) bool {
	return file.Size() != i.FileBytes || !i.Modified.IsZero() && !file.ModTime().Equal(i.Modified)
}

// VerifiedAt returns when a revision was last read whole and found good: at the latest when it was published.
func (r *Repository) VerifiedAt(name string, revision int) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	img, err := r.revision(name, revision)
	return r.verifiedAt(img), err
}

// verifiedAt is VerifiedAt with mu held.
func (r *Repository) verifiedAt(img Image) time.Time {
	if at := r.health[img.key()].Verified; at.After(img.Created) {
		return at
	}
	return img.Created
}
