package catalog

import (
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A Group is some PCs of a classroom that have something in common, such as the teacher's, or a row.
type Group struct {
	ID          string `json:"id"`
	ClassroomID string `json:"classroomID"`
	Name        string `json:"name"`
	Boot        string `json:"boot,omitempty"` // what its PCs always boot; empty: what the classroom does
}

// maxGroups bounds the groups of a classroom.
const maxGroups = 100

// Groups returns all of a classroom, by name; of every classroom for "".
func (c *Catalog) Groups(classroomID string) ([]Group, error) {
	all, err := sorted(c, groupsBucket, func(a, b Group) int { return compareNatural(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(g Group) bool { return classroomID != "" && g.ClassroomID != classroomID }), err
}

// AddGroup makes a group in a classroom; names are unique within it.
func (c *Catalog) AddGroup(classroomID, name string) (Group, error) {
	name, err := cleanName("group", name)
	if err != nil {
		return Group{}, err
	}
	g := Group{ID: newID(), ClassroomID: classroomID, Name: name}
	err = c.change(func(tx *bolt.Tx) error {
		if _, err := getClassroom(tx, classroomID); err != nil {
			return err
		}
		return putGroup(tx, g)
	})
	if err != nil {
		return Group{}, err
	}
	return g, nil
}

// RenameGroup renames one.
func (c *Catalog) RenameGroup(id, name string) error {
	name, err := cleanName("group", name)
	if err != nil {
		return err
	}
	return c.changeGroup(id, func(g *Group) { g.Name = name })
}

func (c *Catalog) changeGroup(id string, edit func(*Group)) error {
	return c.change(func(tx *bolt.Tx) error {
		g, err := find[Group](tx, groupsBucket, "group", id)
		if err != nil {
			return err
		}
		edit(&g)
		return putGroup(tx, g)
	})
}

func putGroup(tx *bolt.Tx, g Group) error {
	all, err := list[Group](tx, groupsBucket)
	if err != nil {
		return err
	}
	n := 0
	for _, other := range all {
		if other.ClassroomID != g.ClassroomID || other.ID == g.ID {
			continue
		}
		if n++; n >= maxGroups {
			return fmt.Errorf("group %q: %w: its classroom has %d (remove some first)", g.Name, ErrInvalid, n)
		}
		if fold(other.Name) == fold(g.Name) {
			return fmt.Errorf("group %q: %w in this classroom (choose another name)", other.Name, ErrExists)
		}
	}
	return put(tx, groupsBucket, g.ID, g)
}

// RemoveGroup removes a group; its PCs stay in the classroom.
func (c *Catalog) RemoveGroup(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := find[Group](tx, groupsBucket, "group", id); err != nil {
			return err
		}
		return removeGroup(tx, id)
	})
}

func removeGroup(tx *bolt.Tx, id string) error {
	pcs, err := list[Computer](tx, computersBucket)
	if err != nil {
		return err
	}
	for _, pc := range pcs {
		if pc.GroupID != id {
			continue
		}
		pc.GroupID = ""
		if err := put(tx, computersBucket, pc.ID, pc); err != nil {
			return err
		}
	}
	return tx.Bucket(groupsBucket).Delete([]byte(id))
}

// removeGroupsOf removes the groups of a classroom that is removed.
func removeGroupsOf(tx *bolt.Tx, classroomID string) error {
	all, err := list[Group](tx, groupsBucket)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.ClassroomID == classroomID {
			if err := removeGroup(tx, g.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetGroup puts computers into a group of their classroom, or into none for "": all of them, or none of them.
func (c *Catalog) SetGroup(groupID string, computerIDs ...string) error {
	return c.change(func(tx *bolt.Tx) error {
		var g Group
		if groupID != "" {
			var err error
			if g, err = find[Group](tx, groupsBucket, "group", groupID); err != nil {
				return err
			}
		}
		return editComputers(tx, computerIDs, func(pc *Computer) error {
			if groupID != "" && pc.ClassroomID != g.ClassroomID {
				return fmt.Errorf("computer %q: %w: it is not in the classroom of group %q (move it there first)", pc.Name, ErrInvalid, g.Name)
			}
			pc.GroupID = groupID
			return nil
		})
	})
}

// SetGroupBoot says what the PCs of a group always boot; empty: what the classroom does.
func (c *Catalog) SetGroupBoot(id, target string) error {
	if err := checkBoot("the group", target); err != nil {
		return err
	}
	return c.changeGroup(id, func(g *Group) { g.Boot = target })
}
