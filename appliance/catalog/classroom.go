package catalog

import (
	"bytes"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A Centre is a school or a faculty.
type Centre struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// A Classroom is a room of computers.
type Classroom struct {
	ID       string `json:"id"`
	CentreID string `json:"centreID"`
	Name     string `json:"name"`
	// Boot is what its PCs always boot; empty: what all do.
	Boot string `json:"boot,omitempty"`
	// Defaults are what its deployments begin with.
	Defaults Defaults `json:"defaults,omitzero"`
}

// Centres returns all, by name.
func (c *Catalog) Centres() ([]Centre, error) {
	var all []Centre
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[Centre](tx, centresBucket)
		return err
	})
	slices.SortFunc(all, func(a, b Centre) int { return compareNatural(a.Name, b.Name) })
	return all, err
}

// AddCentre makes a centre; names are unique, without regard to case.
func (c *Catalog) AddCentre(name string) (Centre, error) {
	name, err := cleanName("centre", name)
	if err != nil {
		return Centre{}, err
	}
	added := Centre{ID: newID(), Name: name}
	err = c.change(func(tx *bolt.Tx) error { return putCentre(tx, added) })
	if err != nil {
		return Centre{}, err
	}
	return added, nil
}

// RenameCentre renames one.
func (c *Catalog) RenameCentre(id, name string) error {
	name, err := cleanName("centre", name)
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		centre, err := get[Centre](tx, centresBucket, id)
		if err != nil {
			return fmt.Errorf("centre %s: %w", id, err)
		}
		centre.Name = name
		return putCentre(tx, centre)
	})
}

func putCentre(tx *bolt.Tx, centre Centre) error {
	all, err := list[Centre](tx, centresBucket)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != centre.ID && fold(other.Name) == fold(centre.Name) {
			return fmt.Errorf("centre %q: %w (choose another name)", other.Name, ErrExists)
		}
	}
	return put(tx, centresBucket, centre.ID, centre)
}

// RemoveCentre removes a centre without classrooms, else ErrInUse.
func (c *Catalog) RemoveCentre(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		centre, err := get[Centre](tx, centresBucket, id)
		if err != nil {
			return fmt.Errorf("centre %s: %w", id, err)
		}
		classrooms, err := list[Classroom](tx, classroomsBucket)
		if err != nil {
			return err
		}
		for _, room := range classrooms {
			if room.CentreID == id {
				return fmt.Errorf("centre %q: %w by classroom %q (remove its classrooms first)", centre.Name, ErrInUse, room.Name)
			}
		}
		return tx.Bucket(centresBucket).Delete([]byte(id))
	})
}

// Classrooms returns all, by name.
func (c *Catalog) Classrooms() ([]Classroom, error) {
	var all []Classroom
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[Classroom](tx, classroomsBucket)
		return err
	})
	slices.SortFunc(all, func(a, b Classroom) int { return compareNatural(a.Name, b.Name) })
	return all, err
}

// Classroom returns one, or ErrNotFound.
func (c *Catalog) Classroom(id string) (Classroom, error) {
	var room Classroom
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		room, err = getClassroom(tx, id)
		return err
	})
	return room, err
}

func getClassroom(tx *bolt.Tx, id string) (Classroom, error) {
	room, err := get[Classroom](tx, classroomsBucket, id)
	if err != nil {
		return Classroom{}, fmt.Errorf("classroom %s: %w", id, err)
	}
	return room, nil
}

// AddClassroom makes a classroom in a centre; names are unique within it.
func (c *Catalog) AddClassroom(centreID, name string) (Classroom, error) {
	name, err := cleanName("classroom", name)
	if err != nil {
		return Classroom{}, err
	}
	added := Classroom{ID: newID(), CentreID: centreID, Name: name}
	err = c.change(func(tx *bolt.Tx) error {
		if _, err := get[Centre](tx, centresBucket, centreID); err != nil {
			return fmt.Errorf("centre %s: %w (make the centre first)", centreID, err)
		}
		return putClassroom(tx, added)
	})
	if err != nil {
		return Classroom{}, err
	}
	return added, nil
}

// RenameClassroom renames one.
func (c *Catalog) RenameClassroom(id, name string) error {
	name, err := cleanName("classroom", name)
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		room, err := getClassroom(tx, id)
		if err != nil {
			return err
		}
		room.Name = name
		return putClassroom(tx, room)
	})
}

func putClassroom(tx *bolt.Tx, room Classroom) error {
	all, err := list[Classroom](tx, classroomsBucket)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != room.ID && other.CentreID == room.CentreID && fold(other.Name) == fold(room.Name) {
			return fmt.Errorf("classroom %q: %w in this centre (choose another name)", other.Name, ErrExists)
		}
	}
	return put(tx, classroomsBucket, room.ID, room)
}

// RemoveClassroom removes a classroom without computers, else ErrInUse. Schedules forget it.
func (c *Catalog) RemoveClassroom(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		room, err := getClassroom(tx, id)
		if err != nil {
			return err
		}
		prefix := nameKey(id, "")
		if key, _ := tx.Bucket(namesBucket).Cursor().Seek(prefix); bytes.HasPrefix(key, prefix) {
			return fmt.Errorf("classroom %q: %w by its computers (move or remove them first)", room.Name, ErrInUse)
		}
		if err := forgetInSchedules(tx, id); err != nil {
			return err
		}
		if err := removeGroupsOf(tx, id); err != nil {
			return err
		}
		return tx.Bucket(classroomsBucket).Delete([]byte(id))
	})
}
