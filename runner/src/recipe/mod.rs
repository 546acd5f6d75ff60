//! Recipes: YAML text in, a fully resolved recipe, or every error of the file or every error of the file out. Pure.
