# Reads YAML, prints JSON. PyYAML reads YAML 1.1, where `on` and `1:30` are no texts.
import json
import sys

import yaml

print(json.dumps(list(yaml.safe_load_all(sys.stdin))))
