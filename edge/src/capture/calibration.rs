//! What the EEPROM of an MLX90640 says of it, and temperatures from its raw words (pure).
