"""The code behind `airfast bench`: measured side by side, recorded with the machine they were measured on."""
