package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A User may log in.
type User struct {
	Name         string    `json:"name"`
	PasswordHash string    `json:"-"` // argon2id in PHC form; never leaves the server
	Created      time.Time `json:"created"`
}

// storedUser is how the file holds a User, whose hash no JSON of the API must ever show.
type storedUser struct {
	User
	Hash string `json:"passwordHash"`
}

func (s storedUser) user() User {
	s.User.PasswordHash = s.Hash
	return s.User
}

// Users returns all, by name.
func (c *Catalog) Users() ([]User, error) {
	users := []User{}
	err := c.db.View(func(tx *bolt.Tx) error {
		stored, err := list[storedUser](tx, usersBucket)
		for _, s := range stored {
			users = append(users, s.user())
		}
		return err
	})
	slices.SortFunc(users, func(a, b User) int { return compareNatural(a.Name, b.Name) })
	return users, err
}

// User returns one, or ErrNotFound. Names are the same without regard to case.
func (c *Catalog) User(name string) (User, error) {
	var s storedUser
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		s, err = getUser(tx, name)
		return err
	})
	return s.user(), err
}

func getUser(tx *bolt.Tx, name string) (storedUser, error) {
	s, err := get[storedUser](tx, usersBucket, fold(name))
	if err != nil {
		return storedUser{}, fmt.Errorf("user %q: %w", name, err)
	}
	return s, nil
}

// AddUser makes a user, or ErrExists.
func (c *Catalog) AddUser(u User) error {
	return c.addUser(u, func(tx *bolt.Tx) error { return nil })
}

// AddFirstUser makes the first user, or ErrExists when there is any: two people at the set-up page make one account.
func (c *Catalog) AddFirstUser(u User) error {
	return c.addUser(u, func(tx *bolt.Tx) error {
		if first, _ := tx.Bucket(usersBucket).Cursor().First(); first != nil {
			return fmt.Errorf("the first user: %w (log in instead)", ErrExists)
		}
		return nil
	})
}

func (c *Catalog) addUser(u User, check func(tx *bolt.Tx) error) (err error) {
	if u.Name, err = cleanName("user", u.Name); err != nil {
		return err
	}
	if u.PasswordHash == "" {
		return fmt.Errorf("user %q: %w: there is no password hash", u.Name, ErrInvalid)
	}
	return c.change(func(tx *bolt.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		switch _, err := getUser(tx, u.Name); {
		case err == nil:
			return fmt.Errorf("user %q: %w (choose another name)", u.Name, ErrExists)
		case !errors.Is(err, ErrNotFound):
			return err
		}
		return put(tx, usersBucket, fold(u.Name), storedUser{User: u, Hash: u.PasswordHash})
	})
}

// SetPassword replaces a user's hash.
func (c *Catalog) SetPassword(name, hash string) error {
	if hash == "" {
		return fmt.Errorf("user %q: %w: there is no password hash", name, ErrInvalid)
	}
	return c.change(func(tx *bolt.Tx) error {
		s, err := getUser(tx, name)
		if err != nil {
			return err
		}
		s.Hash = hash
		return put(tx, usersBucket, fold(s.Name), s)
	})
}
