package catalog

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"aula/imagestore"
)

// FirstRepository is the name of the repository that the configuration file describes. The catalog holds the others.
const FirstRepository = "main"

// A Repository is a folder of images beside the first one, which is in the configuration file. It is opened by appliance/upkeep.
type Repository struct {
	Name       string `json:"name"`                 // canonical, like an image's
	Dir        string `json:"dir"`                  // absolute path of the folder
	Address    string `json:"address,omitempty"`    // IP address of this machine at which PCs fetch from it; empty for the appliance's own
	Keep       int    `json:"keep"`                 // revisions kept before the current one
	TrashDays  int    `json:"trashDays"`            // how long a removed image can be brought back; 0 removes at once
	ReserveMiB int64  `json:"reserveMiB,omitempty"` // left free on the volume
	Comments   string `json:"comments,omitempty"`
}

// Bounds of a repository; those of keep and trash are also the configuration file's.
const (
	maxKeep       = 1000
	maxTrashDays  = 3650
	maxReserveMiB = 1 << 30 // 1 PiB
	maxDir        = 4096    // PATH_MAX of Linux
)

// Repositories returns all but the first, by name.
func (c *Catalog) Repositories() ([]Repository, error) {
	var all []Repository
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[Repository](tx, repositoriesBucket)
		return err
	})
	slices.SortFunc(all, func(a, b Repository) int { return compareNatural(a.Name, b.Name) })
	return all, err
}

// Repository returns one, or ErrNotFound.
func (c *Catalog) Repository(name string) (Repository, error) {
	var r Repository
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		r, err = get[Repository](tx, repositoriesBucket, name)
		return err
	})
	if err != nil {
		return Repository{}, fmt.Errorf("repository %s: %w", name, err)
	}
	return r, nil
}

// PutRepository makes or replaces one. It answers ErrExists when another has its folder, a folder within it or around it, or a name
// that differs from its own in case only.
func (c *Catalog) PutRepository(r Repository) error {
	r, err := r.clean()
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		all, err := list[Repository](tx, repositoriesBucket)
		if err != nil {
			return err
		}
		for _, other := range all {
			switch {
			case other.Name == r.Name:
			case fold(other.Name) == fold(r.Name):
				return fmt.Errorf("repository %s: %w (choose a name that differs in more than case)", other.Name, ErrExists)
			case within(other.Dir, r.Dir) || within(r.Dir, other.Dir):
				return fmt.Errorf("folder %s: %w as the folder of repository %s, %s (choose a folder of its own)", r.Dir, ErrExists, other.Name, other.Dir)
			}
		}
		return put(tx, repositoriesBucket, r.Name, r)
	})
}

// RemoveRepository forgets one, or answers ErrNotFound. Its folder stays as it is.
func (c *Catalog) RemoveRepository(name string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := get[Repository](tx, repositoriesBucket, name); err != nil {
			return fmt.Errorf("repository %s: %w", name, err)
		}
		return tx.Bucket(repositoriesBucket).Delete([]byte(name))
	})
}

// clean returns the repository as it is kept, or ErrInvalid with the reason.
func (r Repository) clean() (_ Repository, err error) {
	if err := imagestore.CheckName(r.Name); err != nil {
		return r, fmt.Errorf("name of the repository: %w: %w", ErrInvalid, err)
	}
	if fold(r.Name) == FirstRepository {
		return r, fmt.Errorf("name of the repository: %w: %q is the first repository, which is set in the configuration file (choose another name)",
			ErrInvalid, FirstRepository)
	}
	refuse := func(format string, args ...any) (Repository, error) {
		return r, fmt.Errorf("repository %s: %w: %s", r.Name, ErrInvalid, fmt.Sprintf(format, args...))
	}
	r.Dir = strings.TrimSpace(r.Dir)
	switch {
	case !filepath.IsAbs(r.Dir) || len(r.Dir) > maxDir || strings.ContainsFunc(r.Dir, invisible):
		return refuse("folder %.140q is no absolute path (write one such as /srv/images2)", r.Dir)
	case filepath.Clean(r.Dir) == "/":
		return refuse("the root folder cannot hold a repository (write a folder such as /srv/images2)")
	case r.Keep < 0 || r.Keep > maxKeep:
		return refuse("%d earlier revisions to keep (give 0 to %d)", r.Keep, maxKeep)
	case r.TrashDays < 0 || r.TrashDays > maxTrashDays:
		return refuse("%d days in the trash (give 0, which removes at once, to %d)", r.TrashDays, maxTrashDays)
	case r.ReserveMiB < 0 || r.ReserveMiB > maxReserveMiB:
		return refuse("%d MiB to leave free (give 0 to %d)", r.ReserveMiB, maxReserveMiB)
	}
	r.Dir = filepath.Clean(r.Dir)
	if r.Address = strings.TrimSpace(r.Address); r.Address != "" {
		address, err := netip.ParseAddr(r.Address)
		if err != nil || !address.Is4() || address.IsUnspecified() || address.IsMulticast() {
			return refuse("address %.40q is no IPv4 address of this machine (write one such as 10.0.1.5, or leave it empty)", r.Address)
		}
		r.Address = address.String()
	}
	r.Comments, err = cleanText("comments on repository "+r.Name, r.Comments, maxComments)
	return r, err
}

// within tells whether a clean path is dir or lies in it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
