"""``$metadata``: CSDL v3 of everything that is simulated (contract section 1, sample ``edmx_real_excerpt``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.onec.schema import NAMESPACE, Entity, Field, Schema

ACTIONS = ("Post", "Unpost")


def prop(field: Field, keys: Iterable[str]) -> str:
    """One property; enumerations are plain strings without a link to their EnumType (contract section 2)."""
    return f'<Property Name="{field.name}" Type="{field.edm}" Nullable="{str(field.name not in keys).lower()}"/>'


def collection(name: str) -> str:
    """A section: a collection of rows."""
    return f'Type="Collection({NAMESPACE}.{name}_RowType)" Nullable="true"'


def entity_type(
    schema: Schema, name: str, keys: tuple[str, ...], known: Mapping[str, Field], sections: Iterable[str] = ()
) -> str:
    """An EntityType with its navigation properties."""
    refs = "".join(f'<PropertyRef Name="{key}"/>' for key in keys)
    body = [prop(field, keys) for field in known.values()]
    body += [f'<Property Name="{s}" {collection(f"{name}_{s}")}/>' for s in sections]
    body += [
        f'<NavigationProperty Name="{f.nav}" Relationship="{NAMESPACE}.{name}_{f.nav}" FromRole="Begin" ToRole="End"/>'
        for f in known.values()
        if f.nav and f.targets[0] in schema.entities
    ]
    return f'<EntityType Name="{name}" OpenType="true"><Key>{refs}</Key>{"".join(body)}</EntityType>'


def associations(schema: Schema, name: str, known: Mapping[str, Field]) -> str:
    """What the navigation properties refer to."""
    return "".join(
        f'<Association Name="{name}_{f.nav}"><End Role="Begin" Type="{NAMESPACE}.{name}" Multiplicity="*"/>'
        f'<End Role="End" Type="{NAMESPACE}.{f.targets[0]}" Multiplicity="0..1"/></Association>'
        for f in known.values()
        if f.nav and f.targets[0] in schema.entities
    )


def described(schema: Schema, entity: Entity) -> tuple[list[str], list[str]]:
    """Types and sets of an entity with its sections."""
    types = [entity_type(schema, entity.name, entity.keys, entity.fields, entity.rows)]
    types.append(associations(schema, entity.name, entity.fields))
    sets = [entity.name]
    for section, known in entity.rows.items():
        name = f"{entity.name}_{section}"
        types.append(entity_type(schema, name, ("Ref_Key", "LineNumber"), known))
        types.append(associations(schema, name, known))
        rows = "".join(prop(field, ()) for field in known.values())
        types.append(f'<ComplexType Name="{name}_RowType">{rows}</ComplexType>')
        sets.append(name)
    return types, sets


def functions(entity: Entity) -> str:
    """Bound FunctionImports: posting of documents, slices of periodic registers."""
    bind = f'<Parameter Name="bindingParameter" Type="{NAMESPACE}.{entity.name}"/>'
    if entity.kind == "Document":
        posting = '<Parameter Name="PostingModeOperational" Type="Edm.Boolean"/>'
        return "".join(
            f'<FunctionImport Name="{action}" IsBindable="true" IsSideEffecting="true" m:HttpMethod="POST">'
            f"{bind}{posting if action == 'Post' else ''}</FunctionImport>"
            for action in ACTIONS
        )
    if entity.kind == "InformationRegister" and "Period" in entity.keys:
        return "".join(
            f'<FunctionImport Name="{name}" ReturnType="Collection({NAMESPACE}.{entity.name})" '
            f'EntitySet="{entity.name}" IsBindable="true" IsSideEffecting="false" m:HttpMethod="GET">'
            f'{bind}<Parameter Name="Period" Type="Edm.DateTime"/>'
            '<Parameter Name="Condition" Type="Edm.String"/></FunctionImport>'
            for name in ("SliceLast", "SliceFirst")
        )
    return ""


def csdl(schema: Schema) -> str:
    """The whole document."""
    types: list[str] = []
    sets: list[str] = []
    for entity in schema.entities.values():
        more_types, more_sets = described(schema, entity)
        types += more_types
        sets += more_sets
    for name, members in schema.enums.items():
        inner = "".join(f'<Member Name="{member}" Value="{n}"/>' for n, member in enumerate(members))
        types.append(f'<EnumType Name="{name}">{inner}</EnumType>')
    container = "".join(f'<EntitySet Name="{name}" EntityType="{NAMESPACE}.{name}"/>' for name in sets)
    container += "".join(functions(entity) for entity in schema.entities.values())
    container += "".join(
        f'<FunctionImport Name="{name}" m:HttpMethod="POST"><Parameter Name="DataExchangePoint" Type="Edm.String"/>'
        '<Parameter Name="MessageNo" Type="Edm.Int64"/></FunctionImport>'
        for name in ("SelectChanges", "NotifyChangesReceived")
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0">'
        '<edmx:DataServices xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" '
        'm:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">'
        f'<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="{NAMESPACE}">'
        f'{"".join(types)}<EntityContainer Name="EnterpriseV8" m:IsDefaultEntityContainer="true">{container}'
        "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    )
