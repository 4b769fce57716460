# Holds YAML documents against models of Istio's resources. A member that no model knows is lost on
# the way through it, and found missing.
import sys

import yaml
from cloudcoil.models.istio.security import v1

for document in yaml.safe_load_all(sys.stdin):
    resource = getattr(v1, document["kind"]).model_validate(document)
    known = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert known == document, (known, document)
    print(document["kind"])
