package daemon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"vhub/api"
	"vhub/config"
)

// optionValues turns the options of a request into the text form of the
// configuration, and the names of those that go back to their defaults (null).
// Strings stand as they are; numbers, booleans and lists are written out.
func optionValues(options map[string]any) (set config.Values, unset []string, err error) {
	set = config.Values{}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		v := options[name]
		if v == nil {
			unset = append(unset, name)
			continue
		}
		text, err := optionText(v)
		if err != nil {
			return nil, nil, api.Errorf(api.CodeBadRequest, "option %s: %v", name, err)
		}
		set[name] = text
	}
	return set, unset, nil
}

func optionText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		return v.String(), nil
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			text, err := optionText(item)
			if err != nil {
				return "", err
			}
			switch _, nested := item.([]any); {
			case nested:
				return "", fmt.Errorf("an item of a list cannot be a list")
			case strings.Contains(text, ","):
				return "", fmt.Errorf("an item of a list cannot have a comma in it")
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	}
	return "", fmt.Errorf("want a string, a number, a boolean or a list of them")
}
